"""What every step activity does first: find case, plan and vault entry, and refuse what must not be called."""

from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.action import Call
from activities.actions.wire import BadAddress, origin_of
from activities.errors import step_failed, step_held
from activities.rendering import names_in, names_in_expression
from ledger.ledger import Ledger
from ledger.rows import Case, CaseState, StepAction, StepRow, VaultValues
from plans.model import Plan, Probe, Request, Step
from plans.outline import plan_from_document
from plans.secrets import resolve
from workflows.messages import CaseRef, Failure
from workflows.names import HeldCause

_VAULT_NAMES = frozenset({"subject", "saved"})


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
        known = {"user_id": self.ref.user_id, "tenant": self.ref.tenant, "retirement_id": self.ref.retirement_id}
        return known | ({} if self.values is None else dict(self.values))

    def with_subject(self, subject: dict[str, Any]) -> "Begun":
        """The same, with what the lookup has just found."""
        saved = {} if self.values is None else self.values["saved"]
        return replace(self, values=VaultValues(subject=subject, saved=saved))

    def saved_by(self, step: str) -> dict[str, Any]:
        """What a step has saved so far."""
        return dict((self.values or {"saved": {}})["saved"].get(step, {}))

    def call(self, *, step: str, service: str, request: Request, key: str | None = None) -> Call:
        """A call to a service, which must be the very system that the retirement was begun with.

        Raises:
            ApplicationError: StepHeld, where this worker's environment names another host.
        """
        offered = self.plan.services[service]
        host = origin_of(resolve(offered.base_url))
        if not _same_origin(self.case.hosts.get(service), host):
            failure = Failure(code="other_host", step=step, detail=service, held=HeldCause.CONFIGURATION)
            raise step_held(failure=failure)
        return Call(service=offered, request=request, context=self.context, key=key)

    def need_vault(self, *, step: str, names: frozenset[str] = _VAULT_NAMES) -> None:
        """Hold where values of the vault are needed and the entry is missing: a missing row is never "absent"."""
        if self.values is None and names & _VAULT_NAMES:
            raise step_held(failure=Failure(code="vault_missing", step=step, held=HeldCause.VAULT))


class Opening:
    """Begins step activities. Keeps the plans it has read, by digest: they never change."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger
        self._plans: dict[str, Plan] = {}

    async def begin(self, ref: CaseRef, *, step: str, action: StepAction) -> Begun:
        """Read where the case and the step stand (one transaction).

        Raises:
            ApplicationError: StepFailed, where the case is closed: a run of a closed case calls nothing.
        """
        start = await self._ledger.begin_step(retirement_id=ref.retirement_id, step=step, action=action)
        if start.case.state is CaseState.CLOSED:
            raise step_failed(failure=Failure(code="case_closed", step=step))
        plan = await self._plan(ref.plan_digest, step=step)
        return Begun(ref=ref, case=start.case, row=start.row, plan=plan, values=start.values)

    def known_plan(self, digest: str) -> Plan | None:
        """A plan that has been read before."""
        return self._plans.get(digest)

    async def _plan(self, digest: str, *, step: str) -> Plan:
        plan = self._plans.get(digest)
        if plan is None:
            stored = await self._ledger.stored_plan(digest)
            if stored is None:
                raise step_held(failure=Failure(code="plan_missing", step=step, held=HeldCause.CONFIGURATION))
            plan = self._plans[digest] = plan_from_document(stored.document, format=stored.format)
        return plan


def names_of(step: Step) -> frozenset[str]:
    """What the request of a step and its probe refer to."""
    return names_in(step.request) | names_of_probe(step.probe)


def names_of_probe(probe: Probe | None) -> frozenset[str]:
    """What a probe refers to."""
    return frozenset() if probe is None else names_in(probe.request) | names_in_expression(probe.gone_when)


def _same_origin(known: str | None, host: str) -> bool:
    try:
        return known is not None and origin_of(known) == host
    except BadAddress:
        return False
