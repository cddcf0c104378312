"""Sealing values: AES-256-GCM with a data key a case, wrapped by a key of the ring. No database in here.

The associated data binds a sealed value to its case and field, so that a row copied onto another one does not open.
"""

import json
import secrets
import struct
from collections import OrderedDict
from threading import Lock
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import VaultDamaged, VaultLocked
from ledger.keys import Keys

_NONCE_BYTES = 12
_DATA_KEY = "data key"


def new_data_key(*, keys: Keys, retirement_id: str) -> tuple[str, bytes]:
    """Make a case's data key; gives the id of the ring key used and the wrapped key."""
    wrapped = _seal(AESGCM(keys.vault[keys.current]), secrets.token_bytes(32), _bound_to(retirement_id, _DATA_KEY))
    return keys.current, wrapped


def unwrap(*, keys: Keys, retirement_id: str, key_id: str, wrapped: bytes) -> AESGCM:
    """Open a case's data key.

    Raises:
        VaultLocked: its ring key is unknown here.
        VaultDamaged: it does not open, or belongs to another case.
    """
    ring_key = keys.vault.get(key_id)
    if ring_key is None:
        raise VaultLocked(f"vault key {key_id!r} is not in the key ring; add it to the key file again")
    return AESGCM(_open(AESGCM(ring_key), wrapped, _bound_to(retirement_id, _DATA_KEY)))


def seal(*, data_key: AESGCM, retirement_id: str, field: str, values: dict[str, Any]) -> bytes:
    """Encrypt the values of a field."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return _seal(data_key, text.encode("utf-8", "surrogatepass"), _bound_to(retirement_id, field))


def unseal(*, data_key: AESGCM, retirement_id: str, field: str, sealed: bytes) -> dict[str, Any]:
    """Decrypt the values of a field.

    Raises:
        VaultDamaged: it was changed, or sealed for another case or field.
    """
    text = _open(data_key, sealed, _bound_to(retirement_id, field)).decode("utf-8", "surrogatepass")
    values: dict[str, Any] = json.loads(text)
    return values


def _bound_to(retirement_id: str, field: str) -> bytes:
    parts = (retirement_id.encode(), field.encode())
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _seal(key: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, bound_to)


def _open(key: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise VaultDamaged("a vault entry does not open: it was changed, or copied from another case") from None


class OpenedKeys:
    """The data keys of cases at work, so that each is unwrapped once. Bounded; a shredded case's key goes at once."""

    def __init__(self, *, most: int = 256) -> None:
        self._most = most
        self._keys: OrderedDict[str, AESGCM] = OrderedDict()
        self._lock = Lock()

    def get(self, retirement_id: str) -> AESGCM | None:
        """The key, where it is known; it then counts as used last."""
        with self._lock:
            key = self._keys.get(retirement_id)
            if key is not None:
                self._keys.move_to_end(retirement_id)
            return key

    def keep(self, retirement_id: str, key: AESGCM) -> None:
        """Remember a key; the one unused for longest gives way."""
        with self._lock:
            self._keys[retirement_id] = key
            self._keys.move_to_end(retirement_id)
            while len(self._keys) > self._most:
                self._keys.popitem(last=False)

    def drop(self, retirement_id: str) -> None:
        """Forget a key."""
        with self._lock:
            self._keys.pop(retirement_id, None)

    def __len__(self) -> int:
        return len(self._keys)
