"""The activity that asks what became of a step when its retirement may be long over."""

import logging
import random
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.actions.action import Action
from activities.actions.wire import BadAddress
from activities.attempts import now, to_its_end
from activities.errors import try_again
from activities.following import Heard, look, next_look
from activities.opening import Opening
from activities.patience import FOR_EVER, Tries
from activities.rendering import RenderingError, names_in, names_in_expression
from ledger.errors import LedgerUnavailable, VaultLocked
from ledger.ledger import Ledger
from ledger.rows import StepAction, Work
from plans.model import FollowUp
from plans.outline import UnknownPlanFormat
from plans.secrets import SecretMissing
from workflows.messages import AskFollowUp, Failure, FollowedUp
from workflows.names import Activity, WorkState

#: Without the plan nobody knows when to ask; somebody is mending that.
_PLAN_UNREAD = timedelta(hours=1)

_log = logging.getLogger("retirement.follow_ups")


class FollowUpActivities:
    """Asks services about what they have accepted. One for a worker."""

    def __init__(self, *, ledger: Ledger, action: Action) -> None:
        self._ledger = ledger
        self._action = action
        self._opening = Opening(ledger=ledger)

    @activity.defn(name=Activity.FOLLOW_UP)
    async def follow_up(self, asked: AskFollowUp) -> FollowedUp:
        """Ask once, and record what was heard. Only reads at the service; whatever is wrong is waited out until the next look."""
        try:
            return await to_its_end(self._follow_up(asked))
        except LedgerUnavailable:
            tries = Tries(first_failed_at=now(), failures=activity.info().attempt, patience=FOR_EVER)
            after = tries.wait(now=now(), chance=random.random())  # noqa: S311 - spreads load, guards nothing
            raise try_again(failure=Failure(code="ledger_unavailable", step=asked.step), after=after) from None

    async def _follow_up(self, asked: AskFollowUp) -> FollowedUp:
        known = await self._ledger.work(asked.retirement_id)
        work = next((each for each in known if each.step == asked.step), None)
        if work is None or work.state is not WorkState.OPEN:
            return _ended(work)
        heard, follow_up = await self._heard(asked)
        at = now()
        next_look_at = None
        if heard.state is WorkState.OPEN:
            if follow_up is None:  # its plan can't be read here
                raise try_again(
                    failure=Failure(code=heard.code or "internal_error", step=asked.step), after=_PLAN_UNREAD
                )
            next_look_at = next_look(follow_up, opened_at=work.opened_at, now=at)
        if next_look_at is not None:
            await self._ledger.note_look(
                retirement_id=asked.retirement_id, step=asked.step, next_look_at=next_look_at, code=heard.code
            )
            return FollowedUp(state=WorkState.OPEN, next_look_at=next_look_at, code=heard.code)
        state = WorkState.DONE if heard.state is WorkState.DONE else WorkState.FAILED
        ended = await self._ledger.end_work(
            retirement_id=asked.retirement_id, step=asked.step, state=state, at=at, code=heard.code
        )
        if ended and state is WorkState.FAILED:
            fields = {"retirement_id": asked.retirement_id, "step": asked.step, "code": heard.code}
            _log.error("a service has not finished what it accepted", extra=fields)
        return FollowedUp(state=state, code=heard.code, alarms=state is WorkState.FAILED)

    async def _heard(self, asked: AskFollowUp) -> tuple[Heard, FollowUp | None]:
        """Ask. What is ours to mend is only looked at again: nothing waits for it."""
        follow_up: FollowUp | None = None
        try:
            begun = await self._opening.begin(asked, step=asked.step, action=StepAction.DO, outlives_case=True)
            step = begun.plan.steps.get(asked.step)
            if step is None or step.follow_up is None or step.service is None:
                return Heard(state=WorkState.FAILED, code="unknown_step"), None
            follow_up = step.follow_up
            told = (follow_up.done, follow_up.failed)
            named = names_in(follow_up.request).union(*(names_in_expression(each) for each in told))
            begun.need_vault(step=asked.step, names=named)
            call = begun.call(step=asked.step, service=step.service, request=follow_up.request)
            return await look(self._action, call, follow_up=follow_up), follow_up
        except LedgerUnavailable:
            raise
        except (SecretMissing, BadAddress, UnknownPlanFormat, VaultLocked) as error:
            codes: dict[type[Exception], str] = {
                SecretMissing: "secret_missing",
                BadAddress: "bad_address",
                UnknownPlanFormat: "unknown_plan_format",
                VaultLocked: "vault_locked",
            }
            code = next(code for kind, code in codes.items() if isinstance(error, kind))
        except RenderingError as error:
            code = error.code
        except ApplicationError as error:
            code = error.details[0].code if error.details else "internal_error"
        except Exception as error:
            fields = {"retirement_id": asked.retirement_id, "step": asked.step, "problem": type(error).__name__}
            _log.error("a follow-up failed unexpectedly", extra=fields, exc_info=error)
            code = "internal_error"
        return Heard(state=WorkState.OPEN, code=code), follow_up


def _ended(work: Work | None) -> FollowedUp:
    """What the record says. An attempt before this one may have ended it, and its answer been lost: then it still alarms."""
    if work is None:
        return FollowedUp(state=WorkState.FAILED, code="unknown_step")
    alarms = work.state is WorkState.FAILED and work.by is None
    return FollowedUp(state=work.state, code=work.code, alarms=alarms)
