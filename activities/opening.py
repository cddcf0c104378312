"""What every step activity does first: find case, plan and vault entry, and refuse what must not be called."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temporalio import activity

from activities.actions.action import Call
from activities.actions.wire import BadAddress
from activities.addresses import address_of, is_same_place
from activities.errors import step_failed, step_held
from activities.rendering import names_in, names_in_expression
from ledger.ledger import Ledger
from ledger.rows import Case, CaseState, StepAction, StepRow, VaultValues, no_values
from plans.model import Plan, Probe, Step
from plans.outline import lane_of, plan_from_document
from plans.requests import Request
from plans.secrets import SecretMissing
from workflows.messages import CaseRef, Failure
from workflows.names import HeldCause, calls_queue

_VAULT_NAMES = frozenset({"subject", "saved", "successor", "asset"})


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A step activity that may go on."""

    ref: CaseRef
    case: Case
    row: StepRow | None
    plan: Plan
    values: VaultValues | None = field(repr=False)

    @property
    def context(self) -> dict[str, Any]:
        """What the plan's templates may name."""
        known = {
            "user_id": self.ref.user_id,
            "tenant": self.ref.tenant,
            "retirement_id": self.ref.retirement_id,
            "pseudonym": pseudonym_of(self.ref.retirement_id),
        }
        if self.values is None:
            return known
        return {**known, "subject": self.values["subject"], "saved": self.values["saved"]}

    def with_subject(self, subject: dict[str, Any]) -> "Begun":
        """The same, with what the lookup has just found."""
        return replace(self, values={**(self.values or no_values()), "subject": subject})

    def with_successors(self, successors: dict[str, dict[str, Any]]) -> "Begun":
        """The same, with who was just chosen to take over, by policy."""
        return replace(self, values={**(self.values or no_values()), "successors": successors})

    def saved_by(self, step: str) -> dict[str, Any]:
        """What a step has saved so far."""
        return dict((self.values or no_values())["saved"].get(step, {}))

    @property
    def hands_over_only_named(self) -> bool:
        """Are only assets handed over that the request names?"""
        return (self.values or no_values())["people"].get("only_named", False)

    def successor_of(self, policy: str | None) -> dict[str, Any] | None:
        """Who takes over by a policy, if somebody was chosen."""
        return (self.values or no_values())["successors"].get(policy or "")

    def call(
        self,
        *,
        step: str,
        service: str,
        request: Request,
        key: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Call:
        """A call to a service, which must be the very system that the retirement was begun with.

        `more` is what its templates may name besides: an asset, a successor.

        Raises:
            ApplicationError: StepHeld, where this worker's environment names another host.
        """
        offered = self.plan.services[service]
        if not is_same_place(offered, known=self.case.hosts.get(service)):
            failure = Failure(code="other_host", step=step, detail=service, held=HeldCause.CONFIGURATION)
            raise step_held(failure=failure)
        return Call(service=offered, request=request, context={**self.context, **(more or {})}, key=key)

    def need_vault(self, *, step: str, names: frozenset[str] = _VAULT_NAMES) -> None:
        """Hold where values of the vault are needed and the entry is missing: a missing row is never "absent"."""
        if self.values is None and names & _VAULT_NAMES:
            raise step_held(failure=Failure(code="vault_missing", step=step, held=HeldCause.VAULT))


class Opening:
    """Begins step activities. Keeps the plans it has read, by digest: they never change."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger
        self._plans: dict[str, Plan] = {}

    async def begin(self, ref: CaseRef, *, step: str, action: StepAction, outlives_case: bool = False) -> Begun:
        """Read where the case and the step stand (one transaction). `outlives_case`: what goes on when the case is closed.

        Raises:
            ApplicationError: StepFailed, where the case is closed: a run of a closed case calls nothing.
        """
        start = await self._ledger.begin_step(retirement_id=ref.retirement_id, step=step, action=action)
        if start.case.state is CaseState.CLOSED and not outlives_case:
            raise step_failed(failure=Failure(code="case_closed", step=step))
        plan = await self._plan(ref.plan_digest, step=step)
        case = await self._with_places(start.case, plan)
        return Begun(ref=ref, case=case, row=start.row, plan=plan, values=start.values)

    def known_plan(self, digest: str) -> Plan | None:
        """A plan that has been read before."""
        return self._plans.get(digest)

    async def _with_places(self, case: Case, plan: Plan) -> Case:
        """Record where the services of this worker's queue are, if nobody could tell yet; from now on that is compared.

        Whoever opens a case need not know addresses of a network that it doesn't reach.
        """
        here = activity.info().task_queue
        places = {}
        for id, service in plan.services.items():
            queue = lane_of(plan, id).queue
            if queue is not None and id not in case.hosts and calls_queue(queue) == here:
                with contextlib.suppress(SecretMissing, BadAddress):  # told when this very service is called
                    places[id] = address_of(service)
        return await self._ledger.add_hosts(retirement_id=case.retirement_id, hosts=places) if places else case

    async def _plan(self, digest: str, *, step: str) -> Plan:
        plan = self._plans.get(digest)
        if plan is None:
            stored = await self._ledger.stored_plan(digest)
            if stored is None:
                raise step_held(failure=Failure(code="plan_missing", step=step, held=HeldCause.CONFIGURATION))
            plan = self._plans[digest] = plan_from_document(stored.document, format=stored.format)
        return plan


def pseudonym_of(retirement_id: str) -> str:
    """What stands for the person where something of theirs stays: opaque, and the same in all services."""
    return f"deleted-{retirement_id.partition('-')[2][:16]}"


def names_of(step: Step) -> frozenset[str]:
    """What the request of a step and its probe refer to, and what decides that it is done."""
    return names_in(step.request) | names_in_expression(step.done_when) | names_of_probe(step.probe)


def names_of_probe(probe: Probe | None) -> frozenset[str]:
    """What a probe refers to."""
    return frozenset() if probe is None else names_in(probe.request) | names_in_expression(probe.gone_when)
