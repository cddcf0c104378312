"""HTTP requests that can't be sent as they are written, or would arrive as something else."""

import re
from collections.abc import Iterator, Mapping

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import template_problem
from plans.checks.walking import requests_of
from plans.requests import HttpRequest, KeyPath, Method
from plans.services import ApiKeyAuth, HttpService, NoAuth

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\$\{[^}]*\}", re.DOTALL)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers that whoever sends a request sets, and why the plan's would be wrong.
_NOT_THE_PLANS = {
    "connection": "it belongs to the connection, which is ours",
    "content-length": "it is counted when the body is made",
    "host": "it is the host of base_url",
    "transfer-encoding": "it belongs to the connection, which is ours",
}
#: Headers that are set by us and win over the plan's.
_OVERWRITTEN = {
    "idempotency-key": "each call has a key of its own, which is sent in its place",
}


def paths(draft: Draft) -> Iterator[Finding]:
    """Paths that lead elsewhere than it looks."""
    for asked in requests_of(draft.written):
        if not isinstance(asked.request, HttpRequest):
            continue
        at: KeyPath = (*asked.path, "path")
        if template_problem(asked.request.path, is_expression=False) is not None:
            continue
        # One letter for each value: it can't become a dot or a slash.
        path = _TEMPLATE.sub("x", asked.request.path)
        segments = path.split("?")[0].split("/")[1:]
        if "#" in path:
            yield error(Check.PATH, at, "has a # in it, and what follows is never sent; write %23, or leave it out")
        if any(segment in (".", "..") for segment in segments):
            yield error(Check.PATH, at, "has a segment . or .., which leads elsewhere; write the path out")
        if any(character.isspace() for character in path):
            yield error(Check.PATH, at, "has a space in it; write %20, or leave it out")
        if "" in segments[:-1]:
            yield warning(Check.PATH, at, "has an empty segment (//), which most services don't know; write one /")


def bodies(draft: Draft) -> Iterator[Finding]:
    """Bodies that most services don't read."""
    for asked in requests_of(draft.written):
        match asked.request:
            case HttpRequest(method=Method.GET, body=body) if body is not None:
                yield warning(
                    Check.GET_BODY,
                    (*asked.path, "json"),
                    "is the body of a GET, which most services don't read; put it into query, or ask by POST",
                )


def headers(draft: Draft) -> Iterator[Finding]:
    """Headers that can't be set, or are set by something else."""
    for id, service in draft.written.services.items():
        if isinstance(service, HttpService):
            yield from _headers(service.headers, ("services", id, "headers"), service)
    for asked in requests_of(draft.written):
        if isinstance(asked.request, HttpRequest):
            known = draft.written.services.get(asked.service or "")
            at: KeyPath = (*asked.path, "headers")
            yield from _headers(asked.request.headers, at, known if isinstance(known, HttpService) else None)
            if asked.request.body is not None:
                yield from _content_type(asked.request.headers, at)


def _headers(headers: Mapping[str, str], at: KeyPath, service: HttpService | None) -> Iterator[Finding]:
    for name in headers:
        folded = name.lower()
        if _HEADER_NAME.fullmatch(name) is None:
            yield error(Check.HEADER, (*at, name), "isn't a header's name; write letters, digits and -")
        elif folded in _NOT_THE_PLANS:
            yield error(Check.HEADER, (*at, name), f"can't be set by a plan: {_NOT_THE_PLANS[folded]}; remove it")
        elif folded in _OVERWRITTEN:
            yield warning(Check.HEADER, (*at, name), f"has no effect: {_OVERWRITTEN[folded]}; remove it")
        elif service is not None and folded == _header_of(service):
            yield warning(
                Check.HEADER, (*at, name), "has no effect beside the service's auth, which sets it; remove one of them"
            )


def _header_of(service: HttpService) -> str | None:
    """The header in which the service's own credentials are sent."""
    match service.auth:
        case NoAuth():
            return None
        case ApiKeyAuth(header=header):
            return header.lower()
    return "authorization"


def _content_type(headers: Mapping[str, str], at: KeyPath) -> Iterator[Finding]:
    for name, value in headers.items():
        if name.lower() == "content-type" and "json" not in value.lower():
            yield warning(
                Check.HEADER,
                (*at, name),
                "has no effect: `json` is sent as application/json; remove it, or leave json out",
            )
