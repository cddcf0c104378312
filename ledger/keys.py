"""The key file: the key that names subjects, which never rotates, and the ring of vault keys.

It is kept apart from the database and from its backups.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ledger.errors import KeysError

_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys in memory. Their values are no part of the repr."""

    #: Turns a subject into its key in the ledger. Never rotated: with another one, nobody is found again.
    subject: bytes = field(repr=False)
    #: The ring: vault keys by id. New entries use `current`, older ones are kept until nothing uses them.
    vault: Mapping[str, bytes] = field(repr=False)
    current: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key file.

        Raises:
            KeysError: it is missing, unreadable or malformed; the message says which, and what to do.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise KeysError(
                f"no key file at {path}; `retire setup` makes one, or point RETIREMENT_KEYS_FILE at yours"
            ) from None
        except OSError as error:
            raise KeysError(
                f"can't read the key file {path} ({type(error).__name__}); check its owner and mode"
            ) from None
        except ValueError:
            raise KeysError(f"the key file {path} is no JSON; restore it from your backup of keys") from None
        return cls._read(document, path=path)

    @classmethod
    def _read(cls, document: Any, *, path: Path) -> Self:
        if not isinstance(document, dict):
            raise KeysError(f"the key file {path} is no JSON object; restore it from your backup of keys")
        ring, current = document.get("vault"), document.get("current")
        if not isinstance(ring, dict) or not ring:
            raise KeysError(f"the key file {path} has no vault keys: `vault` maps key ids to keys")
        if not isinstance(current, str) or current not in ring:
            raise KeysError(f"the key file {path}: `current` has to name one of the keys in `vault`")
        return cls(
            subject=_key(document.get("subject"), name="subject", path=path),
            vault={str(name): _key(value, name=f"vault.{name}", path=path) for name, value in ring.items()},
            current=current,
        )

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make new keys and write them to a file only its owner can read. A file that is there is never overwritten.

        Raises:
            KeysError: the file exists already, or can't be written.
        """
        path = Path(path)
        keys = cls(subject=secrets.token_bytes(_KEY_BYTES), vault={"1": secrets.token_bytes(_KEY_BYTES)}, current="1")
        document = {
            "subject": _text(keys.subject),
            "vault": {name: _text(value) for name, value in keys.vault.items()},
            "current": keys.current,
        }
        try:
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(json.dumps(document, indent=2) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                # A link, unlike a rename, fails where the name is taken: of two set-ups at once one wins.
                os.link(draft, path)
            finally:
                os.unlink(draft)
        except FileExistsError:
            raise KeysError(f"there is a key file at {path} already; it is never overwritten") from None
        except OSError as error:
            raise KeysError(f"can't write the key file {path} ({type(error).__name__}); check the folder") from None
        return keys

    def subject_key(self, *, user_id: str, tenant: str | None) -> str:
        """The ledger's name for a data subject: a keyed hash, so that the id itself is nowhere in the ledger."""
        return self._hash(tenant or "", user_id)

    def claim_key(self, *, claim: str, tenant: str | None) -> str:
        """The ledger's name for what is claimed: it may name an organisation, or a person."""
        return self._hash("claim", tenant or "", claim)

    def asset_key(self, *, asset: str, retirement_id: str) -> str:
        """The ledger's name for what somebody owns, another one in every case."""
        return self._hash("asset", retirement_id, asset)

    def wish_key(self, *, wish: str, tenant: str | None) -> str:
        """The ledger's name for what somebody asks for: the same wish again is recognised."""
        return self._hash("wish", tenant or "", wish)

    def _hash(self, *texts: str) -> str:
        parts = (text.encode("utf-8", "surrogatepass") for text in texts)
        message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
        return hmac.new(self.subject, message, hashlib.sha256).hexdigest()

    def fingerprint(self) -> str:
        """Recognises the subject key without telling it."""
        return hmac.new(self.subject, b"retirement: fingerprint of the subject key", hashlib.sha256).hexdigest()[:32]


def _key(value: object, *, name: str, path: Path) -> bytes:
    try:
        key = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise KeysError(f"the key file {path}: `{name}` has to be {_KEY_BYTES} bytes in base64")
    return key


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
