"""What an answer means to whoever owns the service, and how to mend what is wrong with it. No I/O."""

import re
from urllib.parse import urljoin, urlsplit

from activities.actions.answers import Answer, NoAnswer
from activities.actions.wire import BadAddress, origin_of
from plans.requests import texts_in
from plans.services import ClientCredentialsAuth, HttpService, NoAuth, PythonService, Service, SqlService
from starter.trial.findings import Remark, problem
from starter.trial.reading import kind_of_body
from starter.trial.words import NO_ANSWERS, STATUSES
from workflows.durations import format_duration

_REFERENCE = re.compile(r"\$\{[^}]*\}")


def meaning(answer: Answer | NoAnswer, *, service: Service, service_id: str) -> str:
    """An answer in words."""
    if isinstance(answer, NoAnswer):
        return _words_of(answer, service=service, service_id=service_id)[0]
    status = answer.status
    if 200 <= status < 300:
        return f"answered, with {kind_of_body(answer)}"
    if 300 <= status < 400:
        return "redirects"
    if status == 401:
        return "our credentials are refused" if _has_credentials(service) else "the service asks for credentials"
    if status == 403:
        return "our credentials are known, and may not do this"
    if status in STATUSES:
        return STATUSES[status][0]
    if status in (408, 425, 429):
        return "the service asks to come back later"
    return "the service fails" if status >= 500 else "the service refuses the request"


def trouble(
    answer: Answer | NoAnswer,
    *,
    service: Service,
    service_id: str,
    asked_at: str | None = None,
    show_path: bool = False,
) -> Remark:
    """What is wrong with an answer that is of no use. `asked_at` is the address that was asked, for redirects."""
    if isinstance(answer, NoAnswer):
        what, mend = _words_of(answer, service=service, service_id=service_id)
        return problem(answer.code, f"{_sentence(what)}.", mend=mend)
    status, code = answer.status, f"http_{answer.status}"
    what = f"{status}: {meaning(answer, service=service, service_id=service_id)}."
    if 300 <= status < 400:
        where = _redirect_of(answer, asked_at=asked_at, show_path=show_path)
        return problem(
            "redirected", f"{status}: it redirects{where}.", mend="Give the final address: none is followed."
        )
    if status in (401, 403):
        return problem(code, what, mend=_mend_credentials(status, service=service, service_id=service_id))
    if status in STATUSES:
        return problem(code, what, mend=STATUSES[status][1].format(service=service_id))
    if status in (408, 425, 429):
        return problem(code, what, mend=f"Try again later; services.{service_id}.limits.rate keeps below its limit.")
    mend = "See the service's own log." if status >= 500 else "Check method, path, query and body."
    return problem(code, what, mend=mend)


def references_of(service: Service) -> str:
    """The secret references by which we show who we are, as the plan writes them."""
    if isinstance(service, HttpService):
        # Where tokens are given out is an address, no secret.
        texts = {**service.auth.model_dump(exclude={"token_url"}), **service.headers}
    else:
        texts = service.model_dump()
    found = [reference for _, text in texts_in(texts, ()) for reference in _REFERENCE.findall(text)]
    return ", ".join(dict.fromkeys(found))


def _has_credentials(service: Service) -> bool:
    return not isinstance(service, HttpService) or not isinstance(service.auth, NoAuth) or bool(references_of(service))


def _mend_credentials(status: int, *, service: Service, service_id: str) -> str:
    if not _has_credentials(service):
        return f"Give them in services.{service_id}.auth."
    named = references_of(service) or f"services.{service_id}.auth"
    if status == 403:
        return f"Let the service's owner give the client of {named} the right to ask this."
    if isinstance(service, HttpService) and isinstance(service.auth, ClientCredentialsAuth):
        return (
            f"token_url gave a token, and the service doesn't take it: check its issuer, audience and scope "
            f"(services.{service_id}.auth), and that {named} belong to this environment."
        )
    return f"Check {named}: is it the one for this environment, and still valid?"


def _words_of(answer: NoAnswer, *, service: Service, service_id: str) -> tuple[str, str]:
    named = references_of(service) or f"services.{service_id}.auth"
    if answer.code in NO_ANSWERS:
        what, mend = NO_ANSWERS[answer.code]
        known = {"service": service_id, "timeout": format_duration(service.timeout), "references": named}
        # The name of a type holds no value.
        return f"{what.format(**known)}{f' ({answer.kind})' if answer.kind else ''}", mend.format(**known)
    if answer.code.startswith("token_http_"):
        status = answer.code.removeprefix("token_http_")
        if status in ("400", "401", "403"):
            return f"token_url refuses the client ({status})", f"Check client_id, scope and {named}."
        return f"token_url answered {status}", f"Check services.{service_id}.auth.token_url."
    if answer.code.startswith("token_"):
        inner = NO_ANSWERS.get(answer.code.removeprefix("token_"), ("no answer", ""))[0]
        return f"token_url: {inner.format(timeout='10s', service=service_id)}", (
            f"Check services.{service_id}.auth.token_url."
        )
    if isinstance(service, PythonService):
        return f"the code refuses: {answer.code}", "See in the code what it means by that."
    kind = "the database refuses or fails" if isinstance(service, SqlService) else "no answer"
    return f"{kind} ({answer.code})", f"See the service's own log, and services.{service_id} in the plan."


def _redirect_of(answer: Answer, *, asked_at: str | None, show_path: bool) -> str:
    """Where a redirect leads, as far as that may be told: never a query, and the path only where values may be shown."""
    try:
        target = urlsplit(urljoin(asked_at or "", answer.headers["location"]))
        to = origin_of(target.geturl())
        asked = urlsplit(asked_at or "")
        same_host = asked_at is not None and origin_of(asked_at) == to
    except (KeyError, ValueError, BadAddress):
        return ", and doesn't say where to"
    shown = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
    if show_path:
        return f" to {shown}{target.path}"
    if asked.path and target.path == f"{asked.path}/":
        return f" to the same path with a slash at its end{'' if same_host else f', at {shown}'}"
    if asked.path and target.path == asked.path and not same_host:
        return f" to the same path at {shown}"
    return f" to another path at {shown}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
