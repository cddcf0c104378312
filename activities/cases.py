"""Activities that only read and write the ledger: the case's life as compare-and-sets and records."""

import logging
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.wire import BadAddress
from activities.addresses import address_of
from ledger.ledger import Ledger
from ledger.rows import Case, CaseOpening, CaseState, StepAction, StoredPlan
from plans.deadlines import due_at
from plans.loading import PlanError, Plans
from plans.model import Plan
from plans.outline import lane_of, outline_of, plan_from_document, snapshot_of
from plans.secrets import SecretMissing
from workflows import cooling_off, names, reading
from workflows.durations import format_duration
from workflows.messages import (
    CloseCase,
    Closed,
    Moved,
    OpenCase,
    OpenedCase,
    PassPoint,
    PlanOutline,
    RecordMessages,
    Start,
    TurnBack,
)
from workflows.names import Activity, StepResult

logger = logging.getLogger("retirement.cases")

#: A request can't come from the future; clocks may differ by a little.
_CLOCK_DIFFERENCE = timedelta(minutes=5)


class CaseActivities:
    """Opens, moves and closes cases. Each is safe to repeat: the ledger answers a repeat as it answered the first time."""

    def __init__(self, *, ledger: Ledger, plans: Plans) -> None:
        self._ledger = ledger
        self._plans = plans

    @activity.defn(name=Activity.OPEN_CASE)
    async def open_case(self, argument: OpenCase) -> OpenedCase:
        """Get or find the one open case of this data subject, and the plan it was given."""
        start = argument.start
        try:
            plan = self._plans.get(start.plan)
        except PlanError as error:
            # Its text holds paths of this machine: for the log, not for a history.
            logger.warning("a start names a plan that can't be used", extra={"problem": str(error)})
            raise _bad_request("plan", "the name of a plan that the workers have; their log says more") from None
        if start.cool_off is not None and start.cool_off > plan.cool_off.longest:
            raise _bad_request("cool_off", f"at most {format_duration(plan.cool_off.longest)} by plan {plan.plan}")
        requested_at = start.requested_at or argument.now
        if requested_at > argument.now + _CLOCK_DIFFERENCE:
            raise _bad_request("requested_at", "not in the future")
        snapshot = snapshot_of(plan)
        cool_off = plan.cool_off.duration if start.cool_off is None else start.cool_off
        opening = await self._ledger.open_case(
            start=start,
            workflow_id=names.workflow_id(user_id=start.user_id, tenant=start.tenant),
            run_key=argument.run_key,
            now=argument.now,
            plan=StoredPlan(
                digest=snapshot.digest, name=snapshot.name, format=snapshot.format, document=snapshot.document
            ),
            hosts=hosts_of(plan),
            cool_off_ends_at=cooling_off.ends_at(requested_at=requested_at, cool_off=cool_off),
            due_at=due_at(requested_at=requested_at, deadline=plan.deadline),
            holders=("run", *_mail_holders(plan)),
        )
        return await self._opened(opening, start)

    @activity.defn(name=Activity.PASS_POINT_OF_NO_RETURN)
    async def pass_point_of_no_return(self, argument: PassPoint) -> Moved:
        """`open → past_return`. From here on the retirement only goes forward."""
        moved = await self._ledger.move(
            retirement_id=argument.retirement_id,
            from_state=CaseState.OPEN,
            to_state=CaseState.PAST_RETURN,
            now=argument.now,
            messages=argument.messages,
        )
        if moved.moved:
            await self._ledger.record_outcomes(argument.retirement_id, argument.retained)
        return moved

    @activity.defn(name=Activity.TURN_BACK)
    async def turn_back(self, argument: TurnBack) -> Moved:
        """`open → going_back`, before any undo or mail."""
        return await self._ledger.move(
            retirement_id=argument.retirement_id,
            from_state=CaseState.PAST_RETURN if argument.from_past_return else CaseState.OPEN,
            to_state=CaseState.GOING_BACK,
            now=argument.now,
            messages=argument.messages,
            reason=argument.reason,
            code=argument.code,
        )

    @activity.defn(name=Activity.RECORD_MESSAGES)
    async def record_messages(self, argument: RecordMessages) -> Closed:
        """Append what was wished, by whom, and how it was answered; and the end of the cool-off where it moved."""
        await self._ledger.record_messages(
            retirement_id=argument.retirement_id,
            messages=argument.messages,
            cool_off_ends_at=argument.cool_off_ends_at,
        )
        return Closed(state="recorded")

    @activity.defn(name=Activity.CLOSE_CASE)
    async def close_case(self, argument: CloseCase) -> Closed:
        """Record the end and let go of the vault. An ERRORED case stays open for a resume and keeps its vault."""
        if argument.concluded or argument.concluded_undos:
            known = await self._ledger.case(argument.retirement_id)
            # A run that was reset after its end concludes from calls refused to it; the record it would spoil is right.
            if known is not None and known.state is not CaseState.CLOSED:
                await self._ledger.record_outcomes(argument.retirement_id, argument.concluded)
                await self._ledger.record_outcomes(
                    argument.retirement_id, argument.concluded_undos, action=StepAction.UNDO
                )
        case = await self._ledger.close_case(
            retirement_id=argument.retirement_id,
            outcome=argument.outcome,
            reason=argument.reason,
            direction=argument.direction,
            now=argument.now,
            messages=argument.messages,
            no_longer_held_by=argument.no_longer_held_by,
        )
        return Closed(state=case.state)

    async def _opened(self, opening: CaseOpening, start: Start) -> OpenedCase:
        case = opening.case
        if opening.refused is not None or case is None:
            return OpenedCase(retirement_id=case.retirement_id if case else None, refused=opening.refused)
        stored = await self._ledger.stored_plan(case.plan_digest)
        assert stored is not None  # stored in the transaction that opened the case
        plan = plan_from_document(stored.document, format=stored.format)
        outline = outline_of(plan, digest=case.plan_digest, cool_off=start.cool_off)
        return opened_case(opening, case=case, outline=outline)


def opened_case(opening: CaseOpening, *, case: Case, outline: PlanOutline) -> OpenedCase:
    """What a run is told of the case that it was given, and of how far earlier runs of it came."""
    return OpenedCase(
        retirement_id=case.retirement_id,
        outline=outline,
        state=case.state,
        resumed=opening.resumed,
        reason=case.reason,
        code=case.code,
        requested_at=case.requested_at,
        cool_off_ends_at=case.cool_off_ends_at,
        due_at=case.due_at,
        ended=tuple(
            row.outcome
            for row in opening.steps
            if row.action is StepAction.DO and row.outcome is not None and row.result is not StepResult.FAILED
        ),
        undone=tuple(
            row.step
            for row in opening.steps
            if row.action is StepAction.UNDO and row.result not in (None, StepResult.FAILED)
        ),
        present=case.present or (),
        unended=tuple(row.step for row in opening.steps if row.action is StepAction.DO and not row.has_ended),
    )


def _mail_holders(plan: Plan) -> tuple[str, ...]:
    """Whose last mails need the vault."""
    if plan.mail is None:
        return ()
    wanted = {"mail": plan.mail.to_person, "admins": bool(plan.mail.admins), "recipients": bool(plan.mail.recipients)}
    return tuple(holder for holder, is_wanted in wanted.items() if is_wanted)


def hosts_of(plan: Plan) -> dict[str, str]:
    """Each service's address as this worker sees it: another environment's worker must not erase in the wrong system."""
    hosts = {}
    for id, service in plan.services.items():
        try:
            hosts[id] = address_of(service)
        except (SecretMissing, BadAddress) as missing:
            if lane_of(plan, id).queue is not None:
                continue  # only workers of that queue need to know where it is
            raise _bad_request(f"plan {plan.plan}, service {id}", str(missing)) from None
    return hosts


def _bad_request(field: str, accepted: str) -> ApplicationError:
    return ApplicationError(str(reading.BadField(field, accepted)), type=names.BAD_REQUEST_ERROR, non_retryable=True)
