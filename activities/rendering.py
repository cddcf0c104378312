"""Values into requests. A value lands as data, whatever it holds: encoded for its place, never read as a template."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError, meta, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from plans.requests import HttpRequest, PythonRequest, SqlRequest
from plans.secrets import resolve, split_references

Context = Mapping[str, Any]


class RenderingError(Exception):
    """A request or an expression that can't be made from what is known. `code` says why, and holds no value.

    value_missing   the template names a value that is not there
    unsafe_value    the value can't be sent in that place without changing its meaning
    bad_template    the plan's expression itself fails
    """

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code


VALUE_MISSING = "value_missing"
UNSAFE_VALUE = "unsafe_value"
BAD_TEMPLATE = "bad_template"


def _as_text(value: object) -> str:
    """A value as text: JSON's spelling of true and false, no None, no structures."""
    if isinstance(value, Undefined) or value is None:
        raise RenderingError(code=VALUE_MISSING)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise RenderingError(code=UNSAFE_VALUE)


def _as_segment(value: object) -> str:
    """A value as one path segment. An empty one would address the whole collection."""
    text = _as_text(value)
    if not text:
        raise RenderingError(code=VALUE_MISSING)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise RenderingError(code=UNSAFE_VALUE) from None


def _eager(filter: Callable[..., Any]) -> Callable[..., Any]:
    """Jinja2's `select`, `map` and their like give iterators, which are true even where they hold nothing.

    A probe's `gone_when: body.accounts | selectattr('open')` would prove every erasure.
    """

    @wraps(filter)
    def run(*arguments: Any, **named: Any) -> Any:
        result = filter(*arguments, **named)
        return list(result) if isinstance(result, Iterator) else result

    return run


class _Environment(ImmutableSandboxedEnvironment):
    """Sandboxed; filters give lists; `body.items` is the field of that name before it is a method of the dictionary."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters = {name: _eager(filter) for name, filter in self.filters.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


_TEXT = _Environment(undefined=StrictUndefined, finalize=_as_text, keep_trailing_newline=True)
_PATH = _Environment(undefined=StrictUndefined, finalize=_as_segment, keep_trailing_newline=True)


@lru_cache(maxsize=2048)
def _compiled(text: str, in_path: bool) -> Template:
    return (_PATH if in_path else _TEXT).from_string(text)


@lru_cache(maxsize=2048)
def _compiled_expression(expression: str) -> TemplateExpression:
    return _TEXT.compile_expression(expression, undefined_to_none=False)


@lru_cache(maxsize=2048)
def _lone_expression(template: str) -> str | None:
    """The expression of a template that is nothing but `{{ expression }}`."""
    text = template.strip()
    if not (text.startswith("{{") and text.endswith("}}")):
        return None
    body = _TEXT.parse(text).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    return text[2:-2].removeprefix("-").removeprefix("+").removesuffix("-").removesuffix("+")


def evaluate(expression: str, context: Context) -> Any:
    """The value of an expression, bare or in `{{ }}`, with its type.

    Raises:
        RenderingError: a value is missing, or the expression fails.
    """
    try:
        bare = _lone_expression(expression)
        result = _compiled_expression(expression if bare is None else bare)(**context)
    except UndefinedError:
        raise RenderingError(code=VALUE_MISSING) from None
    except RenderingError:
        raise
    except Exception:
        raise RenderingError(code=BAD_TEMPLATE) from None
    if isinstance(result, Undefined) or callable(result):  # `body.items` without such a field is Python's own method
        raise RenderingError(code=VALUE_MISSING)
    return result


def holds(condition: str, context: Context) -> bool:
    """Whether a condition (`when`, `done`, `failed`, `gone_when`) is true."""
    return bool(evaluate(condition, context))


def render_value(template: str, context: Context) -> Any:
    """A template's value: with its type where the template is one expression alone, else as text."""
    try:
        alone = _lone_expression(template)
    except TemplateError:
        raise RenderingError(code=BAD_TEMPLATE) from None
    return render_text(template, context) if alone is None else evaluate(template, context)


def render_text(template: str, context: Context) -> str:
    """A template as text, with the plan's secrets in it."""
    return "".join(
        resolve(part) if is_secret else _rendered(part, context, in_path=False)
        for is_secret, part in split_references(template)
    )


def render_path(template: str, context: Context) -> str:
    """A path: each `{{ }}` is one segment or a part of one, percent-encoded; a segment `.` or `..` can't arise."""
    path = "".join(
        quote(resolve(part), safe="") if is_secret else _rendered(part, context, in_path=True)
        for is_secret, part in split_references(template)
    )
    if any(segment in {".", ".."} for segment in path.split("?")[0].split("/")):
        # Encoding doesn't help: %2E%2E counts as `..` for servers and proxies alike (WHATWG URL).
        raise RenderingError(code=UNSAFE_VALUE)
    return path


def render_query(query: Mapping[str, str], context: Context) -> str:
    """A query string. A parameter whose value is null is left out."""
    pairs = []
    for name, template in query.items():
        value = render_value(template, context)
        if value is not None:
            pairs.append((name, _as_text(value)))
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise RenderingError(code=UNSAFE_VALUE) from None


def render_headers(headers: Mapping[str, str], context: Context) -> dict[str, bytes]:
    """Headers, as UTF-8. A value with a control character is refused: it could begin another header."""
    rendered = {}
    for name, template in headers.items():
        text = render_text(template, context).strip()
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
            raise RenderingError(code=UNSAFE_VALUE)
        try:
            rendered[name] = text.encode()
        except UnicodeEncodeError:
            raise RenderingError(code=UNSAFE_VALUE) from None
    return rendered


def render_body(body: Any, context: Context) -> Any:
    """A JSON body: its structure is the plan's, its strings are templates."""
    match body:
        case str():
            return render_value(body, context)
        case dict():
            return {name: render_body(value, context) for name, value in body.items()}
        case list() | tuple():
            return [render_body(value, context) for value in body]
        case _:
            return body


def render_data(data: Any, context: Context) -> Any:
    """Plain data of its own: its structure is the plan's, its strings are templates, and nothing of it is lent."""
    return json.loads(encode_json(render_body(data, context)))


def encode_json(body: Any) -> bytes:
    """A rendered body as JSON. ASCII only, so that lone surrogates pass as escapes."""
    try:
        return json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise RenderingError(code=UNSAFE_VALUE) from None


def names_in(*templates: Any) -> frozenset[str]:
    """The names (`user_id`, `subject`, `saved` …) that templates, requests and bodies refer to."""
    names: set[str] = set()
    for template in templates:
        match template:
            case HttpRequest() | SqlRequest() | PythonRequest():
                names |= names_in(*(text for _, text in template.templates()))
            case str():
                names |= _names_in_text(template)
            case dict():
                names |= names_in(*template.values())
            case list() | tuple():
                names |= names_in(*template)
    return frozenset(names)


def names_in_expression(expression: str | None) -> frozenset[str]:
    """The names that an expression, bare or in `{{ }}`, refers to."""
    if expression is None:
        return frozenset()
    return _names_in_text(expression) | _names_in_text(f"{{{{ {expression} }}}}")


@lru_cache(maxsize=2048)
def _names_in_text(template: str) -> frozenset[str]:
    try:
        return frozenset(meta.find_undeclared_variables(_TEXT.parse(template)))
    except TemplateError:
        return frozenset()


def _rendered(template: str, context: Context, *, in_path: bool) -> str:
    try:
        return _compiled(template, in_path).render(context)
    except RenderingError:
        raise
    except UndefinedError:
        raise RenderingError(code=VALUE_MISSING) from None
    except Exception:
        raise RenderingError(code=BAD_TEMPLATE) from None
