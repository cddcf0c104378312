"""What people own and what became of it: sealed like the vault, and gone with it. All inside the caller's transaction.

An inventory lists what is owned now. What it lists anew is to be moved; what it lists although it was moved is to be moved
again. What it lists no more is nobody's to move; but where we had begun to, somebody has to see what became of it.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import Connection, Executable, RowMapping, bindparam, delete, func, select, update

from ledger import schema
from ledger.database import insert_into
from ledger.keys import Keys
from ledger.rows import Asset, AssetRow, StepAction
from ledger.vault import Vault
from workflows.names import AssetResult

_TABLE = schema.assets
#: Not called like the columns: SQLAlchemy keeps those names for the values of an update.
_OF_STEP = (_TABLE.c.retirement_id == bindparam("of_case")) & (_TABLE.c.step == bindparam("of_step"))
_UNFINISHED = _TABLE.c.result.is_(None) | (_TABLE.c.result == AssetResult.RETRYING.value)
_NEXT_INVENTORY = select(func.coalesce(func.max(_TABLE.c.inventory), 0) + 1).where(_OF_STEP)
_LAST_POSITION = select(func.coalesce(func.max(_TABLE.c.position), 0)).where(_OF_STEP)
_KEYS = select(_TABLE.c.asset_key).where(_OF_STEP)
_UNLISTED = _OF_STEP & _TABLE.c.result.is_(None) & (_TABLE.c.inventory < bindparam("number"))
_LISTED_AGAIN = (
    _OF_STEP
    & _TABLE.c.result.in_([result.value for result in AssetResult if result.is_settled])
    & (_TABLE.c.inventory == bindparam("number"))
)
_FORGET_UNLISTED = delete(_TABLE).where(_UNLISTED)
_DO_AGAIN = (
    update(_TABLE)
    .where(_LISTED_AGAIN)
    .values(result=AssetResult.RETRYING.value, code="still_owned", lies=_TABLE.c.lies + 1)
)
_PENDING = (
    select(_TABLE)
    .where(_OF_STEP, _UNFINISHED, _TABLE.c.position > bindparam("behind"))
    .order_by(_TABLE.c.position)
    .limit(bindparam("most"))
)
_ALL = (
    select(_TABLE)
    .where(_TABLE.c.retirement_id == bindparam("retirement_id"))
    .order_by(_TABLE.c.step, _TABLE.c.position)
)
_COUNTS = (
    select(_TABLE.c.step, _TABLE.c.result, func.count().label("number"))
    .where(_TABLE.c.retirement_id == bindparam("retirement_id"))
    .group_by(_TABLE.c.step, _TABLE.c.result)
)
_RECORD = (
    update(_TABLE)
    .where(_OF_STEP, _TABLE.c.asset_key == bindparam("key"))
    .values(result=bindparam("new_result"), code=bindparam("new_code"))
)
_STEPS = schema.steps
_ENDED = select(_STEPS.c.step).where(
    _STEPS.c.retirement_id == bindparam("of_case"),
    _STEPS.c.action == StepAction.DO.value,
    _STEPS.c.result.is_not(None),
)
#: A step that has ended is not run again, whatever it had to leave.
_REFUSED = (
    (_TABLE.c.retirement_id == bindparam("of_case"))
    & (_TABLE.c.result == AssetResult.REFUSED.value)
    & _TABLE.c.step.not_in(_ENDED)
)
#: Under another key: a service may replay its refusal, and what was refused was not done.
_ASK_AGAIN = update(_TABLE).where(_REFUSED).values(result=None, code=None, lies=_TABLE.c.lies + 1)


def next_inventory(connection: Connection, *, retirement_id: str, step: str) -> int:
    """The number of a new inventory of a step."""
    return int(connection.execute(_NEXT_INVENTORY, _of(retirement_id, step)).scalar_one())


def note(
    connection: Connection,
    vault: Vault,
    *,
    keys: Keys,
    retirement_id: str,
    step: str,
    inventory: int,
    assets: Sequence[Asset],
    only_known: bool = False,
) -> None:
    """Note what a page of an inventory lists; number 0 is for what somebody names. `only_known`: the others stay out.

    Raises:
        VaultMissing: the vault entry is gone.
    """
    found = {keys.asset_key(asset=asset.id, retirement_id=retirement_id): asset for asset in assets}
    if only_known:
        known = set(connection.scalars(_KEYS, _of(retirement_id, step)))
        found = {key: asset for key, asset in found.items() if key in known}
    if not found:
        return
    sealed = vault.seal_fields(
        connection,
        retirement_id=retirement_id,
        fields={_field(step, key): asset.as_values() for key, asset in found.items()},
    )
    behind = int(connection.execute(_LAST_POSITION, _of(retirement_id, step)).scalar_one())
    rows = [
        {
            "retirement_id": retirement_id,
            "step": step,
            "asset_key": key,
            "position": position,
            "inventory": inventory,
            "sealed": sealed[_field(step, key)],
            "lies": 0,
        }
        for position, key in enumerate(found, start=behind + 1)
    ]
    connection.execute(_upsert(connection.dialect.name), rows)


def end_inventory(
    connection: Connection, *, retirement_id: str, step: str, inventory: int, keep_unlisted: bool = False
) -> int:
    """Draw the conclusions of an inventory; gives the number of assets that are listed although they were moved."""
    key = _of(retirement_id, step) | {"number": inventory}
    if not keep_unlisted:
        connection.execute(_FORGET_UNLISTED, key)
    return connection.execute(_DO_AGAIN, key).rowcount


def pending(
    connection: Connection, vault: Vault, *, retirement_id: str, step: str, behind: int, most: int
) -> list[AssetRow]:
    """The next assets that nothing final is known of, behind a position."""
    key = _of(retirement_id, step) | {"behind": behind, "most": most}
    rows = connection.execute(_PENDING, key).mappings().all()
    return _opened(connection, vault, retirement_id=retirement_id, rows=rows)


def read(connection: Connection, vault: Vault, *, retirement_id: str) -> list[AssetRow]:
    """All assets of a case, step by step, in the order in which they were found."""
    rows = connection.execute(_ALL, {"retirement_id": retirement_id}).mappings().all()
    return _opened(connection, vault, retirement_id=retirement_id, rows=rows)


def counts(connection: Connection, *, retirement_id: str) -> dict[str, dict[AssetResult | None, int]]:
    """How many assets of each step came to which result; None for those still to be done."""
    numbers: dict[str, dict[AssetResult | None, int]] = {}
    for row in connection.execute(_COUNTS, {"retirement_id": retirement_id}):
        result = None if row.result is None else AssetResult(row.result)
        numbers.setdefault(row.step, {})[result] = row.number
    return numbers


def record(
    connection: Connection, *, retirement_id: str, step: str, results: Mapping[str, tuple[AssetResult, str | None]]
) -> None:
    """Record what became of assets, by their keys, each with its code."""
    if results:
        key = _of(retirement_id, step)
        rows = [key | {"key": k, "new_result": result.value, "new_code": code} for k, (result, code) in results.items()]
        connection.execute(_RECORD, rows)


def ask_again(connection: Connection, *, retirement_id: str) -> None:
    """A resume tries once more what was refused, at the steps that it runs again."""
    connection.execute(_ASK_AGAIN, {"of_case": retirement_id})


def _opened(connection: Connection, vault: Vault, *, retirement_id: str, rows: Sequence[RowMapping]) -> list[AssetRow]:
    fields = {_field(row["step"], row["asset_key"]): row["sealed"] for row in rows}
    opened = vault.unseal_fields(connection, retirement_id=retirement_id, fields=fields)
    return [
        AssetRow(
            step=row["step"],
            key=row["asset_key"],
            position=row["position"],
            inventory=row["inventory"],
            asset=Asset.from_values(opened[_field(row["step"], row["asset_key"])]),
            result=None if row["result"] is None else AssetResult(row["result"]),
            code=row["code"],
            lies=row["lies"],
        )
        for row in rows
    ]


def _field(step: str, key: str) -> str:
    """What a sealed asset is bound to, so that a row copied to another place doesn't open."""
    return f"asset.{step}.{key}"


def _of(retirement_id: str, step: str) -> dict[str, object]:
    return {"of_case": retirement_id, "of_step": step}


@cache
def _upsert(dialect: str) -> Executable:
    statement = insert_into(_TABLE, dialect=dialect)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["retirement_id", "step", "asset_key"],
        set_={"inventory": new.inventory, "sealed": new.sealed},
    )
