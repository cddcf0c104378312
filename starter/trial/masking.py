"""A request as it goes over the wire, for people: whatever a value put there is `•••`, and a secret is its reference."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from activities.actions.action import Call
from activities.addresses import address_of
from activities.rendering import (
    encode_json,
    render_body,
    render_data,
    render_headers,
    render_path,
    render_query,
    render_text,
    render_value,
)
from plans.requests import HttpRequest, PythonRequest, SqlRequest
from plans.secrets import split_references
from plans.services import HttpService, Service

MASK = "•••"

#: Renders a template as the worker does, but for its values: the text between them is the plan's own.
_masking = SandboxedEnvironment(undefined=StrictUndefined, finalize=lambda _: MASK, keep_trailing_newline=True)


def place_of(service: Service) -> str:
    """Where a service is, without user name, password and query.

    Raises:
        SecretMissing: a reference can't be resolved here.
        BadAddress: it is no address.
    """
    address = address_of(service)
    if not isinstance(service, HttpService):
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def address_asked(call: Call) -> str | None:
    """The address of an HTTP request, with its values and without its query: to be compared, not shown."""
    if not isinstance(call.request, HttpRequest):
        return None
    return place_of(call.service) + render_path(call.request.path, call.context)


def try_to_make(call: Call) -> None:
    """Make the request without sending it.

    Raises:
        RenderingError: it can't be made from the context.
        SecretMissing: a secret of the plan is not here.
    """
    match call.request:
        case HttpRequest() as request:
            render_path(request.path, call.context)
            render_query(request.query, call.context)
            headers = call.service.headers if isinstance(call.service, HttpService) else {}
            render_headers(headers | request.headers, call.context)
            encode_json(render_body(request.body, call.context))
        case SqlRequest(parameters=data) | PythonRequest(arguments=data):
            render_data(data, call.context)


def sent_as(call: Call, *, show_values: bool) -> str:
    """The request in one line. What came from a value is masked unless `show_values`; secrets never are shown.

    Raises:
        RenderingError: it can't be made from the context.
    """

    def text(template: str, *, in_path: bool = False) -> str:
        return _told(template, call.context, show_values=show_values, in_path=in_path)

    def data(value: Any) -> str:
        told = _data(value, call.context, show_values=show_values)
        return json.dumps(told, ensure_ascii=False).replace(f'"{MASK}"', MASK)

    match call.request:
        case HttpRequest() as request:
            query = [
                f"{name}={text(template)}"
                for name, template in request.query.items()
                if render_value(template, call.context) is not None
            ]
            told = f"{request.verb} {place_of(call.service)}{text(request.path, in_path=True)}"
            told += f"?{'&'.join(query)}" if query else ""
            return told if request.body is None else f"{told} with {data(request.body)}"
        case SqlRequest() as request:
            given = ", ".join(f":{name} = {data(value)}" for name, value in request.parameters.items())
            return request.title + (f" with {given}" if given else "")
        case PythonRequest() as request:
            return f"{request.title} with {data(request.arguments)}"


def _told(template: str, context: Mapping[str, Any], *, show_values: bool, in_path: bool) -> str:
    parts = []
    for is_secret, part in split_references(template):
        if is_secret:
            parts.append(part)
        elif show_values:
            parts.append(render_path(part, context) if in_path else render_text(part, context))
        else:
            parts.append(_masked(part, context))
    return "".join(parts)


def _masked(template: str, context: Mapping[str, Any]) -> str:
    try:
        return _masking.from_string(template).render(context)
    except Exception:
        # Whether it can be rendered is for `try_to_make` to say; here nothing of it is shown.
        return MASK


def _data(value: Any, context: Mapping[str, Any], *, show_values: bool) -> Any:
    match value:
        case str():
            if any(is_secret for is_secret, _ in split_references(value)):
                return _told(value, context, show_values=show_values, in_path=False)
            shown = render_value(value, context)
            return shown if show_values else _told(value, context, show_values=False, in_path=False)
        case dict():
            return {name: _data(each, context, show_values=show_values) for name, each in value.items()}
        case list() | tuple():
            return [_data(each, context, show_values=show_values) for each in value]
    return value
