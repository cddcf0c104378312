"""Asking one question of a plan the way a worker does, and telling what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from activities.actions.action import Call
from activities.actions.answers import ROUTE_UNKNOWN, Answer, NoAnswer
from activities.actions.wire import BadAddress
from activities.opening import pseudonym_of
from activities.rendering import RenderingError
from plans.model import Plan
from plans.requests import HttpRequest, Request
from plans.secrets import SecretMissing
from plans.services import HttpService, NoAuth
from starter.exchanges import Exchange
from starter.strangers import stranger_of
from starter.trial.findings import Question, Remark, Ruling, problem
from starter.trial.guard import OnlyReads
from starter.trial.masking import address_asked, place_of, sent_as, try_to_make
from starter.trial.meanings import references_of, trouble
from starter.trial.reaching import why_unreachable

#: The retirement id of a trial: of the form that services will see, and told from a real one at a glance.
TRIAL_ID = "r-trytrytrytrytrytrytrytryal"
#: Why a request could not be made, in words.
RENDERING = {
    "value_missing": ("names a value that isn't there, or is null", "See what lookup.fields reads, above."),
    "unsafe_value": (
        "a value can't be sent in this place without changing its meaning",
        "Send it in the query or the body: a list, an empty text or `..` is no part of a path.",
    ),
    "bad_template": ("the template fails with these values", "Check the kinds of values that it joins or compares."),
}

_NOT_READY = problem("service_not_ready", "Its service can't be asked.", mend="See under Services.")


@dataclass(kw_only=True)
class Trying:
    """A trial at work: the plan, the person, and the one way out."""

    plan: Plan
    action: OnlyReads
    user_id: str = field(repr=False)
    tenant: str | None
    show_values: bool
    #: Services whose address or secrets are not here.
    not_ready: frozenset[str]
    #: Called with a few words before each request.
    on_asking: Callable[[str], None] = lambda _: None
    #: The user id of whoever is named as successor, as a start may name somebody.
    named: str | None = field(default=None, repr=False)
    #: What was given beforehand, and what the lookup and others say; None as long as the lookup hasn't said that it knows them.
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    subject: dict[str, Any] | None = field(default=None, repr=False)
    #: What the row of a mirrored source says.
    row: Ruling | None = None
    #: One asset of each step that has some, and who would take over by each policy.
    assets: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    #: How many assets are left to hand over, by step, as far as that could be told.
    owned: dict[str, int] = field(default_factory=dict)
    successors: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    #: What steps have found before their request, by step.
    found: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def context(self) -> dict[str, Any]:
        """What templates may name by now."""
        known = {
            "user_id": self.user_id,
            "tenant": self.tenant,
            "retirement_id": TRIAL_ID,
            "pseudonym": pseudonym_of(TRIAL_ID),
        }
        if self.subject is None and not self.given:
            return known
        return {**known, "subject": {**self.given, **(self.subject or {})}}

    def context_of(self, step_id: str) -> dict[str, Any]:
        """The same with what this step's own requests may name besides, as far as it is known."""
        step, more = self.plan.steps[step_id], {}
        if step_id in self.assets:
            more["asset"] = self.assets[step_id]
        if step.successor in self.successors:
            more["successor"] = self.successors[step.successor]
        if step_id in self.found:
            more["saved"] = {step_id: self.found[step_id]}
        return {**self.context, **more}

    def call(self, service_id: str, request: Request, context: Mapping[str, Any] | None = None) -> Call:
        """A call to a service of the plan."""
        known = self.context if context is None else context
        return Call(service=self.plan.services[service_id], request=request, context=known)

    def may_ask(self, request: Request) -> bool:
        """May it be sent in a trial?"""
        return self.action.may_ask(request)

    async def send(self, call: Call) -> Exchange:
        """Send a read and give it with its answer."""
        self.on_asking(call.request.title)
        await self.action.call(call)
        return self.action.made[-1]

    def begun(
        self, *, part: str, service_id: str, request: Request, more: Mapping[str, Any] | None = None
    ) -> tuple[Question, Call | None]:
        """A question as far as it can be told before it is asked; no call where it can't be made.

        `more` is what its templates may name besides.
        """
        question = Question(part=part, service=service_id, asks=request.title)
        if service_id in self.not_ready:
            return replace(question, meaning="can't be asked", remarks=(_NOT_READY,)), None
        call = self.call(service_id, request, {**self.context, **(more or {})})
        told, remarks = self.made(call, part=f"{part}.request")
        if remarks:
            return replace(question, meaning="can't be asked", remarks=remarks), None
        return replace(question, sent_as=told), call

    def made(self, call: Call, *, part: str) -> tuple[str | None, tuple[Remark, ...]]:
        """How a request would be sent, or why it can't be. Nothing is sent."""
        try:
            try_to_make(call)
            return sent_as(call, show_values=self.show_values), ()
        except RenderingError as error:
            what, mend = RENDERING[error.code]
            return None, (problem(error.code, f"{part}: {what}.", mend=mend),)
        except (SecretMissing, BadAddress):
            # Told with the service.
            return None, ()

    async def what_is_wrong(self, exchange: Exchange, *, service_id: str) -> Remark:
        """Why an answer is of no use, and how to mend it."""
        call, answer = exchange.call, exchange.answer
        if isinstance(answer, NoAnswer) and answer.code == "connect_error" and isinstance(call.service, HttpService):
            found = await why_unreachable(place_of(call.service), service_id=service_id)
            if found is not None:
                return found
        return trouble(
            answer,
            service=call.service,
            service_id=service_id,
            asked_at=address_asked(call),
            show_path=self.show_values,
        )

    async def is_path_known(self, call: Call, *, unchecked: str | None) -> tuple[bool | None, str]:
        """Does the path of a "not found" exist? As the worker decides it, and in words."""
        if unchecked is not None:
            return True, "the plan says why the path need not be proved (absent_unchecked)"
        known = await self.action.is_route_known(call)
        if not isinstance(call.service, HttpService) or not isinstance(call.request, HttpRequest):
            return known, ""
        if isinstance(call.service.auth, NoAuth) and not references_of(call.service):
            return known, "the service takes no credentials, so a wrong path would answer the same"
        without = await self._status_without_credentials(call, call.service, call.request)
        if known:
            is_told = without is not None and without not in ROUTE_UNKNOWN
            return known, f"the path exists: without credentials it answers {without if is_told else 'otherwise'}"
        return known, f"without credentials it answers {without or 'the same'}, as a wrong path may"

    async def _status_without_credentials(self, call: Call, service: HttpService, request: HttpRequest) -> int | None:
        """For the words only: whether the path is known is decided as the worker decides it."""
        if not request.only_reads or request.query:
            return None
        bare = replace(
            call,
            service=service.model_copy(update={"auth": NoAuth(), "headers": {}}),
            request=request.model_copy(update={"headers": {}}),
        )
        return (await self.send(bare)).status

    def stranger(self, call: Call) -> Call:
        """The same call about somebody who certainly doesn't exist."""
        return replace(call, context=stranger_of(call.context))


def is_not_found(exchange: Exchange) -> bool:
    """Is this what a wrong path answers, too?"""
    return isinstance(exchange.answer, Answer) and exchange.answer.status in ROUTE_UNKNOWN
