"""Is the ledger as this version needs it? Run by `set_up` and `check`, inside the caller's transaction."""

from sqlalchemy import Connection, insert, select

from ledger import schema
from ledger.errors import LedgerNotReady
from ledger.keys import Keys
from ledger.migrate import is_head, upgrade_connection
from ledger.vault import Vault

_FINGERPRINT = "subject_key_fingerprint"


def migrate(connection: Connection) -> None:
    """Bring the tables up to date."""
    upgrade_connection(connection)


def tie_to_keys(connection: Connection, *, keys: Keys) -> None:
    """Remember by which subject key this database names its subjects.

    Raises:
        LedgerNotReady: by another one.
    """
    known = _known_fingerprint(connection)
    if known is None:
        connection.execute(insert(schema.meta), {"name": _FINGERPRINT, "value": keys.fingerprint()})
    elif known != keys.fingerprint():
        raise _other_key()


def check(connection: Connection, *, keys: Keys, vault: Vault) -> None:
    """Check tables, subject key and key ring.

    Raises:
        LedgerNotReady: the first thing that does not hold, and what to do about it.
    """
    if not is_head(connection):
        raise LedgerNotReady("the ledger's tables are not those of this version; run `retire setup`")
    known = _known_fingerprint(connection)
    if known is None:
        raise LedgerNotReady("the ledger is not tied to a key file yet; run `retire setup`")
    if known != keys.fingerprint():
        raise _other_key()
    unknown = vault.unknown_keys(connection)
    if unknown:
        raise LedgerNotReady(
            f"vault keys that entries need are not in the key file: {', '.join(unknown)}; add them to it again"
        )


def _known_fingerprint(connection: Connection) -> str | None:
    statement = select(schema.meta.c.value).where(schema.meta.c.name == _FINGERPRINT)
    return connection.execute(statement).scalar_one_or_none()


def _other_key() -> LedgerNotReady:
    return LedgerNotReady(
        "the key file has another subject key than the one this database was set up with, so nobody would be found "
        "in it; point RETIREMENT_KEYS_FILE at the file used then, or RETIREMENT_DATABASE_URL at its database"
    )
