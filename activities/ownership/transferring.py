"""One attempt at handing over what the person owns at one service: each asset once, and none left behind."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from activities import progress
from activities.actions.action import Action
from activities.actions.answers import Held, Permanent, Transient
from activities.attempts import Attempts, Trouble, Trying, now
from activities.errors import try_again
from activities.first_contact import Worked, settled
from activities.opening import Begun
from activities.ownership.inventory import Taken, take_inventory
from activities.ownership.moving import Moved, Moving
from activities.ownership.succession import Succession
from activities.paging import NotTold
from ledger.ledger import Ledger
from ledger.opening import NOTHING_OWNED
from ledger.rows import AssetRow, StepAction
from plans.model import Assets, Step
from workflows.messages import Failure, Progress, StepOutcome
from workflows.names import AssetResult, StepResult

#: So many are begun, asked for and recorded together: what a crash in between makes us ask for again, under the same keys.
BATCH = 50
_AT_A_TIME = 8
#: An attempt that takes longer gives way to the next, which goes on where it stopped.
_LONGEST_ATTEMPT = 240.0
#: Somebody who creates assets faster than we move them is not waited for.
_MOST_INVENTORIES = 10

#: Assets that the service still lists although it said that they were moved.
STILL_OWNED = "still_owned"
ASSETS_REFUSED = "assets_refused"
IN_PROGRESS = "in_progress"
_BEGUN = "begun"


@dataclass(kw_only=True)
class Transfer:
    """A transfer step at work."""

    action: Action
    ledger: Ledger
    attempts: Attempts
    worked: Worked
    begun: Begun
    step_id: str
    step: Step
    assets: Assets
    service: str
    #: Only assets that somebody has named are moved.
    only_known: bool = False
    #: Nothing is erased afterwards: what can't be moved stays where it is, and is told.
    stands_alone: bool = False
    #: Where one of them may have been moved already, there is no way back.
    _touched: bool = False
    _started: float = field(default_factory=time.monotonic)

    async def attempt(self) -> StepOutcome:
        """Hand over until nothing is left, or for as long as an attempt may take.

        Raises:
            ApplicationError: TryAgain, StepFailed or StepHeld.
        """
        try:
            return await self._hand_over()
        except NotTold as untold:
            await self._give_way(untold.trouble, detail=untold.detail)

    async def _hand_over(self) -> StepOutcome:
        more: dict[str, Any] | None = None
        for _ in range(_MOST_INVENTORIES):
            taken = await self._inventory()
            counts = await self._counts()
            self._touched = self._touched or any(counts.get(result, 0) for result in AssetResult)
            if taken.again:
                await self._give_way(Transient(code=STILL_OWNED, touched=True), detail=self._told(counts))
            if not counts.get(None, 0) and not counts.get(AssetResult.RETRYING, 0):
                return await self._end(taken, counts)
            if more is None:
                more = await self._succession.confirmed()
            await self._work_through(taken, more=more, counts=counts)
        await self._give_way(Transient(code=STILL_OWNED, touched=True), detail=self._told(await self._counts()))

    async def _work_through(self, taken: Taken, *, more: dict[str, Any], counts: dict[AssetResult | None, int]) -> None:
        """Ask for everything that is left, once."""
        moving = Moving(
            action=self.action,
            worked=self.worked,
            begun=self.begun,
            step_id=self.step_id,
            step=self.step,
            assets=self.assets,
            service=self.service,
            inventory=taken.number,
            more=more,
        )
        of, done, behind = sum(counts.values()), sum(n for r, n in counts.items() if r and r.is_settled), 0
        trouble: Trouble | None = None
        while rows := await self._pending(behind=behind):
            progress.tell(Progress(step=self.step_id, done=done, of=of))
            moved = await self._move(moving, rows)
            held = next((each.trouble for each in moved if isinstance(each.trouble, Held)), None)
            if held is not None:
                await self._give_way(held, detail=self.step_request)
            trouble = next((each.trouble for each in moved if isinstance(each.trouble, Transient)), trouble)
            if trouble is not None and all(isinstance(each.trouble, Transient) for each in moved):
                break  # the service is in trouble, not an asset: the rest waits
            done, behind = done + sum(each.result.is_settled for each in moved), rows[-1].position
            if time.monotonic() - self._started > _LONGEST_ATTEMPT:
                failure = Failure(code=IN_PROGRESS, step=self.step_id, detail=self._told(await self._counts()))
                raise try_again(failure=failure, after=timedelta(0))
        if trouble is not None:
            await self._give_way(trouble, detail=self._told(await self._counts()))

    async def _move(self, moving: Moving, rows: Sequence[AssetRow]) -> list[Moved]:
        """One batch. It is recorded as begun first: what is listed no more after a crash was then moved by us."""
        listed = {row.key for row in rows if row.inventory >= moving.inventory}
        await self._record({key: (AssetResult.RETRYING, _BEGUN) for key in listed})
        self._touched = True
        limits = self.begun.plan.services[self.service].limits
        limit = asyncio.Semaphore(1 if limits.rate is not None else min(_AT_A_TIME, limits.concurrent))

        async def move(row: AssetRow) -> Moved:
            async with limit:
                return await moving.move(row)

        moved = await asyncio.gather(*(move(row) for row in rows))
        # What isn't theirs was not begun by us: it must not pass for moved, only since it isn't listed the next time either.
        ended = {
            row.key: (each.result, each.code)
            for row, each in zip(rows, moved, strict=True)
            if row.key in listed or each.result is not AssetResult.RETRYING
        }
        await self._record(ended)
        return list(moved)

    async def _end(self, taken: Taken, counts: dict[AssetResult | None, int]) -> StepOutcome:
        """Nothing is left to be asked for. What was refused and is still theirs must not be orphaned by an erasure."""
        refused = counts.get(AssetResult.REFUSED, 0)
        if refused and not self.stands_alone and (refused := await self._refused_still(taken)):
            await self._give_way(Permanent(code=ASSETS_REFUSED, touched=True), detail=self._told(counts, left=refused))
        self.worked.add(self.begun.plan.services[self.service])
        result, code = (StepResult.TRANSFERRED, None) if counts else (StepResult.ABSENT, NOTHING_OWNED)
        code = ASSETS_REFUSED if refused and self.stands_alone else code
        detail = self._told(counts)
        outcome = StepOutcome(step=self.step_id, result=result, code=code, detail=detail, at=now())
        await self.ledger.record_outcome(
            retirement_id=self.begun.ref.retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            outcome=outcome,
            service=self.service,
            saved=None,
        )
        await self._succession.end()
        return outcome

    async def _refused_still(self, taken: Taken) -> int:
        rows = await self.ledger.assets(self.begun.ref.retirement_id)
        return sum(
            row.step == self.step_id and row.result is AssetResult.REFUSED and row.inventory == taken.number
            for row in rows
        )

    async def _inventory(self) -> Taken:
        return await take_inventory(
            self.action,
            ledger=self.ledger,
            begun=self.begun,
            step_id=self.step_id,
            service=self.service,
            assets=self.assets,
            only_known=self.only_known,
        )

    async def _pending(self, *, behind: int) -> list[AssetRow]:
        return await self.ledger.pending_assets(
            retirement_id=self.begun.ref.retirement_id, step=self.step_id, behind=behind, most=BATCH
        )

    async def _record(self, results: Mapping[str, tuple[AssetResult, str | None]]) -> None:
        await self.ledger.record_assets(retirement_id=self.begun.ref.retirement_id, step=self.step_id, results=results)

    async def _counts(self) -> dict[AssetResult | None, int]:
        return (await self.ledger.asset_counts(self.begun.ref.retirement_id)).get(self.step_id, {})

    @property
    def _succession(self) -> Succession:
        return Succession(
            action=self.action, ledger=self.ledger, begun=self.begun, step_id=self.step_id, step=self.step
        )

    @property
    def step_request(self) -> str:
        """What is asked for each asset, as it may be told."""
        return "" if self.step.request is None else self.step.request.title

    def _told(self, counts: dict[AssetResult | None, int], *, left: int = 0) -> str:
        """Numbers only."""
        told = [f"{number} {result.value if result else 'waiting'}" for result, number in counts.items() if number]
        left_over = [f"{left} still theirs"] if left else []
        return f"{self.step_request} → " + (", ".join([*told, *left_over]) or "nothing owned")

    async def _give_way(self, trouble: Trouble, *, detail: str) -> NoReturn:
        retirement_id = self.begun.ref.retirement_id
        trouble = await settled(self.ledger, trouble=trouble, retirement_id=retirement_id, service=self.service)
        match trouble:
            case Transient(code=code, wait=wait):
                trouble = Transient(code=code, touched=self._touched, wait=wait)
            case Permanent(code=code):
                trouble = Permanent(code=code, touched=self._touched)
        trying = Trying(
            retirement_id=retirement_id,
            step=self.step_id,
            action=StepAction.DO,
            service=self.service,
            patience=self.step.patience,
        )
        await self.attempts.give_way(trying, trouble=trouble, detail=detail, row=self.begun.row)
