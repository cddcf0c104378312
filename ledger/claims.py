"""Exclusive claims: taken in the transaction that passes the point of no return, given back when the case is closed.

A claim counts how often it changed hands. Whoever looked at the facts while somebody else held it, or before they took it, and
comes to the point after it was given back, has decided from facts of yesterday: they lose as if it were still held.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger import schema

_TABLE = schema.claims


def versions(connection: Connection, *, keys: tuple[str, ...]) -> dict[str, int]:
    """How often each claim has changed hands so far."""
    rows = connection.execute(select(_TABLE.c.claim_key, _TABLE.c.version).where(_TABLE.c.claim_key.in_(keys)))
    return dict.fromkeys(keys, 0) | {key: version for key, version in rows}


def take(connection: Connection, *, retirement_id: str, claims: Mapping[str, int]) -> bool:
    """Take all of them, or none: one that is held, or changed hands since it was looked at, is lost."""
    # In one order, so that two who need the same ones wait for each other in a row and not in a circle.
    keys = sorted(claims)
    for key in keys:
        _make(connection, key=key)
        row = connection.execute(select(_TABLE).where(_TABLE.c.claim_key == key).with_for_update()).mappings().one()
        if row["retirement_id"] is not None or row["version"] != claims[key]:
            return False
    for key in keys:
        connection.execute(
            update(_TABLE)
            .where(_TABLE.c.claim_key == key)
            .values(retirement_id=retirement_id, version=_TABLE.c.version + 1)
        )
    return True


def _make(connection: Connection, *, key: str) -> None:
    """A claim that nobody has asked for before. Another transaction may be making it at the same time."""
    values = {"claim_key": key, "version": 0}
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(_TABLE).values(**values).on_conflict_do_nothing())
    else:
        connection.execute(sqlite.insert(_TABLE).values(**values).on_conflict_do_nothing())


def give_back(connection: Connection, *, retirement_id: str) -> None:
    """Let go of whatever a case holds."""
    held = select(_TABLE.c.claim_key).where(_TABLE.c.retirement_id == retirement_id)
    # In the order of `take`, which may be waiting for them.
    for key in connection.scalars(held.order_by(_TABLE.c.claim_key).with_for_update()).all():
        connection.execute(
            update(_TABLE).where(_TABLE.c.claim_key == key).values(retirement_id=None, version=_TABLE.c.version + 1)
        )
