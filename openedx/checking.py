"""The live check: what the LMS and its neighbours have of a plan. It only reads, and names no learner.

Asked are a token, the queue with every state of the plan, and each route as a stranger would ask for it.
"""

from collections.abc import Callable

from activities.actions.action import Call
from activities.actions.http import HttpAction
from activities.actions.wire import BadAddress
from activities.rendering import RenderingError
from openedx.lms import SERVICE, Lms, LmsNotLetIn, LmsRefused, LmsUnreachable
from plans.model import Plan, Step
from plans.requests import HttpRequest
from plans.services import ClientCredentialsAuth, HttpService
from plans.yaml_reading import Document, KeyPath, Problem, Severity

_CHECK = "live"
#: Nobody asked so long ago: the answer is empty, and says all the same whether the LMS knows the states.
_BEFORE_ANYBODY = 36_500
#: All that stands for a learner. There is none of this number.
_NOBODY = {"subject": {"lms_user_id": 0}}

#: Told what is asked next.
Say = Callable[[str], None]


async def check_live(plan: Plan, document: Document, *, lms: Lms, http: HttpAction, say: Say) -> list[Problem]:
    """Everything about a plan that its site has not, or has otherwise. `document` is the plan's file.

    Raises:
        SecretMissing: a secret of the plan is not on this machine: `plan check` tells which.
    """
    say("Waiting for the LMS to tell which states it knows …")
    problems = await _states(plan, document, lms=lms)
    silent: set[str] = set()
    for id, step in plan.steps.items():
        service = plan.services.get(step.service or "")
        if isinstance(service, HttpService) and _is_of_the_site(service) and step.service not in silent:
            say(f"Waiting for an answer to the route of step {id} …")
            found = await _route(id, step, document, service=service, http=http)
            problems += found
            silent |= {step.service or "" for problem in found if problem.where.startswith("services.")}
    return problems


async def unfit(plan: Plan, document: Document, *, lms: Lms, http: HttpAction, say: Say) -> list[Problem]:
    """What keeps a plan from working for anybody: a missing route, an unknown state, an account without permission.

    A neighbour that is silent just now is no reason to start nobody: whoever gets there waits for it.
    """
    problems = await check_live(plan, document, lms=lms, http=http, say=say)
    return [each for each in problems if each.severity is Severity.ERROR and not each.where.endswith(".base_url")]


async def _states(plan: Plan, document: Document, *, lms: Lms) -> list[Problem]:
    """Does the service account get in, and does the LMS know every state?"""
    places = _places_of_states(plan)
    try:
        await lms.queue(cool_off_days=_BEFORE_ANYBODY, states=list(places), limit=1)
    except LmsRefused as refused:
        if refused.status != 400:
            return [_refused(refused, document)]
    except LmsUnreachable as unreachable:
        return [document.problem(("services", SERVICE, "base_url"), _silent(unreachable.code), check=_CHECK)]
    else:
        return []
    # Its text would name one of them; asked one by one, all of them are known.
    unknown: list[Problem] = []
    for state, path in places.items():
        try:
            await lms.queue(cool_off_days=_BEFORE_ANYBODY, states=[state], limit=1)
        except LmsRefused as refused:
            if refused.status != 400:
                return [*unknown, _refused(refused, document)]
            unknown.append(document.problem(path, _unknown(state), check=_CHECK))
        except LmsUnreachable as unreachable:
            return [
                *unknown,
                document.problem(("services", SERVICE, "base_url"), _silent(unreachable.code), check=_CHECK),
            ]
    if unknown:
        return unknown
    what = "knows each state of the plan alone, and refuses them together (HTTP 400); see the LMS' own log for why"
    return [document.problem(("services", SERVICE), what, check=_CHECK)]


def _places_of_states(plan: Plan) -> dict[str, KeyPath]:
    """Every state of the plan, and the four that are no step's, each with its place in the file."""
    places: dict[str, KeyPath] = {}
    if plan.mirror is not None:
        for name in ("waiting", "errored", "aborted", "complete"):
            places[getattr(plan.mirror, name)] = ("mirror", name)
    for id, step in plan.steps.items():
        if step.mirrored is not None:
            places.setdefault(step.mirrored.working, ("steps", id, "mirrored", "working"))
            places.setdefault(step.mirrored.done, ("steps", id, "mirrored", "done"))
    return places


def _unknown(state: str) -> str:
    return (
        f"{state} is no state of this LMS, so a learner would be held there; add it to the site's states "
        "(`manage.py lms populate_retirement_states`), or write the one that the LMS has"
    )


def _refused(refused: LmsRefused, document: Document) -> Problem:
    at: KeyPath = ("services", SERVICE)
    match refused:
        case LmsNotLetIn(code=code) if code.startswith("token_"):
            path: KeyPath = (*at, "auth")
            what = (
                f"gets no token ({code}); see that client_id and the secret are those of the service account's application "
                "in the LMS, and token_url"
            )
        case LmsNotLetIn(code=code):
            path = (*at, "auth")
            what = (
                f"is no account that may retire learners ({code}); make it superuser, name it in the LMS' "
                "RETIREMENT_SERVICE_WORKER_USERNAME, or give it accounts.can_retire_user"
            )
        case LmsRefused(status=404):
            path = (*at, "base_url")
            what = "has no retirement queue (HTTP 404); see that it is the LMS, and not the studio or a proxy before it"
        case LmsRefused(status=status) if status is not None and 300 <= status < 400:
            path = (*at, "base_url")
            what = f"redirects (HTTP {status}), which is never followed; write the address that it leads to"
        case _:
            path, what = at, f"refuses the retirement queue (HTTP {refused.status}); see the LMS' own log for why"
    return document.problem(path, what, check=_CHECK)


def _silent(code: str) -> str:
    return f"gives no usable answer ({code}); see that it runs and is reachable from here, then check again"


def _is_of_the_site(service: HttpService) -> bool:
    """The LMS, or another service that takes its tokens. A vendor's routes are the same for everybody."""
    return isinstance(service.auth, ClientCredentialsAuth)


async def _route(id: str, step: Step, document: Document, *, service: HttpService, http: HttpAction) -> list[Problem]:
    """Does the service have the step's route? Asked without credentials and body, which nothing comes of."""
    if not isinstance(step.request, HttpRequest) or step.absent_unchecked is not None:
        return []
    path: KeyPath = ("steps", id, "request", "path")
    try:
        known = await http.is_route_known(Call(service=service, request=step.request, context=_NOBODY))
    except RenderingError:
        what = (
            "names more of the learner than their number, so the route can't be asked for without one; see it by hand"
        )
        return [document.problem(path, what, severity=Severity.WARNING, check=_CHECK)]
    except BadAddress:
        what = "is no address that can be asked; write https:// and the host"
        return [document.problem(("services", step.service or "", "base_url"), what, check=_CHECK)]
    if known is None:
        what = _silent(f"{step.request.title} of step {id}")
        return [document.problem(("services", step.service or "", "base_url"), what, check=_CHECK)]
    if known:
        return []
    what = (
        f"is a route that '{step.service}' hasn't got: every learner would stop here; write the path that your version has, "
        "or remove the step. (Where a gateway hides routes, say so in absent_unchecked)"
    )
    return [document.problem(path, what, check=_CHECK)]
