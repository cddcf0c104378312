"""What a door knows about a person before their case is open: sealed, and moved into the case's vault when it opens.

A workflow is started with an opaque id only; where a system knows the person by something personal (a username), whoever starts
the workflow leaves it here first. Every function works inside the caller's transaction.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from ledger import schema
from ledger.database import insert_into
from ledger.keys import Keys
from ledger.sealing import new_data_key, seal, unseal, unwrap

#: A start that did not come after this long never will.
LONGEST_STAY = timedelta(days=30)

_TABLE = schema.intakes
_ONE = select(_TABLE).where(_TABLE.c.subject_key == bindparam("subject_key"))
_FIELD = "intake"


def take_in(connection: Connection, *, keys: Keys, subject_key: str, values: Mapping[str, Any], now: datetime) -> None:
    """Keep what is known of a person until their case opens. What was kept before is replaced."""
    key_id, wrapped = new_data_key(keys=keys, retirement_id=subject_key)
    data_key = unwrap(keys=keys, retirement_id=subject_key, key_id=key_id, wrapped=wrapped)
    sealed = seal(data_key=data_key, retirement_id=subject_key, field=_FIELD, values=dict(values))
    kept = {"key_id": key_id, "wrapped_key": wrapped, "sealed": sealed, "taken_in_at": now}
    statement = insert_into(_TABLE, dialect=connection.dialect.name)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["subject_key"], set_=kept), {"subject_key": subject_key, **kept}
    )


def take_out(connection: Connection, *, keys: Keys, subject_key: str) -> dict[str, Any] | None:
    """What was kept, which is then kept here no longer; None where nothing was.

    Raises:
        VaultLocked: its ring key is unknown here.
    """
    row = connection.execute(_ONE, {"subject_key": subject_key}).one_or_none()
    if row is None:
        return None
    data_key = unwrap(keys=keys, retirement_id=subject_key, key_id=row.key_id, wrapped=row.wrapped_key)
    values = unseal(data_key=data_key, retirement_id=subject_key, field=_FIELD, sealed=row.sealed)
    connection.execute(delete(_TABLE).where(_TABLE.c.subject_key == subject_key))
    return values


def expire(connection: Connection, *, now: datetime) -> int:
    """Forget those whose start never came; gives their number."""
    return connection.execute(delete(_TABLE).where(_TABLE.c.taken_in_at < now - LONGEST_STAY)).rowcount
