"""Taking an inventory: what the person owns at a service now, page by page into the vault. No page is kept in memory."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import Permanent
from activities.opening import Begun
from activities.paging import NotTold, pages
from activities.rendering import Context, RenderingError, evaluate, holds
from ledger.ledger import Ledger
from ledger.rows import Asset
from plans.model import Assets, Becomes
from workflows.names import AssetResult

#: What an asset has come to once the request about it was done.
RESULT_OF = {
    Becomes.MOVED: AssetResult.MOVED,
    Becomes.ANONYMISED: AssetResult.ANONYMISED,
    Becomes.DELETED: AssetResult.DELETED,
}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What an inventory found: its number, how many assets it lists, and how many of them although they were moved."""

    number: int
    listed: int
    again: int = 0


async def take_inventory(
    action: Action,
    *,
    ledger: Ledger,
    begun: Begun,
    step_id: str,
    service: str,
    assets: Assets,
    only_known: bool = False,
) -> Taken:
    """List all that the person owns. `only_known`: only what somebody has named counts, and stays where it isn't listed.

    Raises:
        NotTold: the service doesn't tell.
        VaultMissing: the vault entry is gone.
    """
    retirement_id = begun.ref.retirement_id
    number = await ledger.begin_inventory(retirement_id=retirement_id, step=step_id)
    call = begun.call(step=step_id, service=service, request=assets.request)
    listed = 0
    async for found in owned(action, call=call, assets=assets):
        await ledger.note_assets(
            retirement_id=retirement_id, step=step_id, inventory=number, listed=found, only_known=only_known
        )
        listed += len(found)
    if number == 1 and listed == 0:
        return Taken(number=number, listed=0)  # nothing there, and nothing known of before: no conclusions to draw
    again = await ledger.end_inventory(
        retirement_id=retirement_id,
        step=step_id,
        inventory=number,
        keep_unlisted=only_known,
    )
    return Taken(number=number, listed=listed, again=again)


async def owned(action: Action, *, call: Call, assets: Assets) -> AsyncIterator[list[Asset]]:
    """What the person owns at a service now, page by page. `call` lists it.

    Raises:
        NotTold: the service doesn't tell.
    """
    async for page in pages(action, call=call, items=assets.items, next_page=assets.next_page, absent=assets.absent):
        yield list(_unsettled(page, call=call, assets=assets))


def _unsettled(page: list[Any], *, call: Call, assets: Assets) -> Iterator[Asset]:
    for item in page:
        context = {**call.context, "item": item}
        try:
            if assets.settled_when is not None and holds(assets.settled_when, context):
                continue
            yield asset_of(assets, context)
        except RenderingError as error:
            # The list is there, so this is no error page: its items are not what the plan says.
            raise NotTold(Permanent(code=error.code), detail=call.request.title) from None


def asset_of(assets: Assets, context: Context) -> Asset:
    """An item of the list, as the plan reads it.

    Raises:
        NotTold: it has no id.
        RenderingError: a value is missing.
    """
    id = evaluate(assets.id, context)
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        raise NotTold(Permanent(code="asset_without_id"), detail=assets.request.title)
    return Asset(
        id=str(id),
        type=_text(assets.type, context),
        title=_text(assets.title, context),
        fields={name: evaluate(expression, context) for name, expression in assets.fields.items()},
    )


def _text(expression: str | None, context: Context) -> str | None:
    value = None if expression is None else evaluate(expression, context)
    return None if value is None else str(value)
