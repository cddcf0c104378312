"""Asking for one asset: what its answer means for it, and whose it is where the answer doesn't say."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

from activities.actions.action import Action, Call
from activities.actions.answers import (
    Absent,
    Done,
    Held,
    Permanent,
    Transient,
    Working,
    meaning_of,
)
from activities.attempts import Trouble
from activities.first_contact import Worked
from activities.opening import Begun
from activities.ownership.inventory import RESULT_OF
from activities.paging import NotTold, read
from activities.probing import deed_rules
from activities.rendering import RenderingError, evaluate
from ledger.rows import AssetRow
from plans.handing_over import compares
from plans.model import Assets, Becomes, Step
from workflows.names import AssetResult

NOT_OWNER = "not_owner"
_KEY_LENGTH = 32


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What became of one asset; `trouble` where it has to be asked for again, or nobody can be asked at all."""

    result: AssetResult
    code: str | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True)
class Moving:
    """Asks for assets of one step."""

    action: Action
    worked: Worked
    begun: Begun
    step_id: str
    step: Step
    assets: Assets
    service: str
    #: The inventory just taken: what it doesn't list isn't the person's.
    inventory: int
    #: What templates may name besides: the successor.
    more: dict[str, Any] = field(repr=False)

    async def move(self, row: AssetRow) -> Moved:
        """Ask for one asset. A repeat comes under the same key, until the service lists what it said it had moved."""
        try:
            if row.inventory < self.inventory:
                return await self._unlisted(row)
            return await self._ask(row)
        except NotTold as untold:
            return _in_trouble(untold.trouble)

    async def _ask(self, row: AssetRow) -> Moved:
        await self._keep_the_rate()
        if self._has_to_look_first and (owner := await self._owner(row)) != self.begun.ref.user_id:
            return Moved(result=AssetResult.NOT_FOUND) if owner is None else self._others(owner)
        call = self._call(row, key=self._key(row))
        try:
            answer = await self.action.call(call)
        except RenderingError as error:
            return Moved(result=AssetResult.REFUSED, code=error.code)
        match meaning_of(answer, deed_rules(call, step=self.step, worked=self.worked)):
            case Done() | Working():
                self.worked.add(call.service)
                return Moved(result=RESULT_OF[self.assets.becomes])
            case Absent():
                # A wrong path answers so, too: whatever is listed again in the next inventory was not gone.
                return Moved(result=AssetResult.NOT_FOUND)
            case Permanent(code=code):
                return await self._refused(row, code=code)
            case Transient() | Held() as trouble:
                return _in_trouble(trouble)

    async def _refused(self, row: AssetRow, *, code: str) -> Moved:
        """The write was refused. Somebody else may have been faster, or an earlier attempt of ours."""
        if self.assets.owner is None:
            return Moved(result=AssetResult.REFUSED, code=code)
        owner = await self._owner(row)
        if owner is None:
            return Moved(result=AssetResult.NOT_FOUND)
        return Moved(result=AssetResult.REFUSED, code=code) if owner == self.begun.ref.user_id else self._others(owner)

    async def _unlisted(self, row: AssetRow) -> Moved:
        """The inventory doesn't list it: it was asked for before and no answer came, or somebody has named it."""
        was_begun = row.result is AssetResult.RETRYING
        settled = Moved(result=RESULT_OF[self.assets.becomes])
        if self.assets.owner is None:
            return settled if was_begun else Moved(result=AssetResult.NOT_FOUND)
        owner = await self._owner(row)
        if owner is None:
            return settled if was_begun and self._deletes else Moved(result=AssetResult.NOT_FOUND)
        if was_begun and (owner == self._successor or self.assets.becomes is Becomes.ANONYMISED):
            return settled
        # An index that lags behind: whose it is counts.
        return await self._ask(row) if owner == self.begun.ref.user_id else self._others(owner)

    @property
    def _has_to_look_first(self) -> bool:
        """Would the service do it to anybody's? Where it compares for itself, nobody can come in between."""
        request, owner = self.step.request, self.assets.owner
        return owner is not None and request is not None and not compares(request, fields=self.assets.fields)

    @property
    def _deletes(self) -> bool:
        return self.assets.becomes is Becomes.DELETED

    @property
    def _successor(self) -> str | None:
        successor: dict[str, str] = self.more.get("successor", {})
        return successor.get("id")

    def _others(self, owner: str) -> Moved:
        if owner == self._successor:
            return Moved(result=AssetResult.ALREADY_OWNED)
        return Moved(result=AssetResult.REFUSED, code=NOT_OWNER)

    async def _owner(self, row: AssetRow) -> str | None:
        assert self.assets.owner is not None
        call = self.begun.call(
            step=self.step_id, service=self.service, request=self.assets.owner.request, more=self._named(row)
        )
        answer, detail = await read(self.action, call=call, absent=self.assets.owner.absent)
        if answer is None:
            return None
        try:
            return str(evaluate(self.assets.owner.value, {**call.context, **answer.values}))
        except RenderingError as error:
            raise NotTold(Transient(code=error.code, touched=False), detail=detail) from None

    def _key(self, row: AssetRow) -> str:
        """The same for every repeat of the same wish. Another successor is another wish, and so is one asked anew."""
        wish = f"{row.key}:{self._successor or ''}"
        digest = hashlib.sha256(wish.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_LENGTH]
        key = f"{self.begun.ref.retirement_id}:{self.step_id}:{digest}"
        return f"{key}:{row.lies}" if row.lies else key

    def _call(self, row: AssetRow, *, key: str) -> Call:
        assert self.step.request is not None
        return self.begun.call(
            step=self.step_id, service=self.service, request=self.step.request, key=key, more=self._named(row)
        )

    def _named(self, row: AssetRow) -> dict[str, Any]:
        asset = row.asset
        return {**self.more, "asset": {**asset.fields, "id": asset.id, "type": asset.type, "title": asset.title}}

    async def _keep_the_rate(self) -> None:
        """The server counts activities, and this one makes many calls: it keeps the plan's rate by itself."""
        rate = self.begun.plan.services[self.service].limits.rate
        if rate is not None:
            await asyncio.sleep(1 / rate.per_second)


def _in_trouble(trouble: Trouble) -> Moved:
    if isinstance(trouble, Permanent):
        return Moved(result=AssetResult.REFUSED, code=trouble.code)
    return Moved(result=AssetResult.RETRYING, code=trouble.code, trouble=trouble)
