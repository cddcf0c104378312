"""Writes docs/plan-reference.md from the plan's model: `python -m plans.reference > docs/plan-reference.md`.

Keys, forms, defaults and descriptions come from the schema that editors use, and so from the model alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import TypeAdapter

from plans.fields import Identifier
from plans.reference_ownership import ASSET_RESULTS, OWNERSHIP, OWNERSHIP_EXAMPLE
from plans.reference_words import (
    ANSWERS,
    ANSWERS_END,
    ANSWERS_HEAD,
    EXAMPLE,
    HEAD,
    NAMES,
    NOTES,
    REQUESTS,
    RESULTS,
    RESULTS_HEAD,
    TEMPLATES,
    VALUES,
)
from plans.requests import Request
from plans.schema import plan_schema
from plans.template_places import PLACES, SECRET_PLACES

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Object:
    """A section of the page. `name` is the object's name in the schema, `place` where it stands in a plan."""

    heading: str
    name: str
    place: str = ""
    #: What a form calls it that links here.
    noun: str = ""

    @property
    def title(self) -> str:
        """The heading without its level."""
        return self.heading.lstrip("# ")


#: In reading order. The plan itself has no name in the schema, and what all services share none that pydantic gave.
OBJECTS = (
    Object(heading="## The plan", name=""),
    Object(heading="### subject", name="Subject", place="subject", noun="subject"),
    Object(heading="### subject.lookup", name="Lookup", place="subject.lookup", noun="lookup"),
    Object(heading="### subject.also", name="AlsoAsked", place="subject.also.*", noun="value asked elsewhere"),
    Object(heading="### facts", name="Fact", place="facts.*", noun="fact"),
    Object(heading="### eligibility", name="Rule", place="eligibility", noun="rule"),
    Object(heading="### claims", name="Claim", place="claims", noun="claim"),
    Object(heading="### successors", name="SuccessorPolicy", place="successors.*", noun="policy"),
    Object(heading="### candidates", name="Candidates", place="successors.*.candidates", noun="candidates"),
    Object(heading="### suitable", name="Suitable", place="successors.*.suitable", noun="test of the role"),
    Object(heading="### mirror", name="Mirror", place="mirror", noun="mirror"),
    Object(heading="### cool_off", name="CoolOff", place="cool_off", noun="cool-off"),
    Object(heading="### mail", name="MailSettings", place="mail", noun="mail settings"),
    Object(heading="### mail.recipients", name="Recipient", place="mail.recipients", noun="recipient"),
    Object(heading="## Services", name="_Service", place="services.*"),
    Object(heading="### Service of type http", name="HttpService", place="services.*"),
    Object(heading="### Service of type sql", name="SqlService", place="services.*"),
    Object(heading="### Service of type python", name="PythonService", place="services.*"),
    Object(heading="### limits", name="Limits", place="services.*.limits", noun="limits"),
    Object(heading="### auth: none", name="NoAuth", place="services.*.auth"),
    Object(heading="### auth: bearer", name="BearerAuth", place="services.*.auth"),
    Object(heading="### auth: basic", name="BasicAuth", place="services.*.auth"),
    Object(heading="### auth: api_key", name="ApiKeyAuth", place="services.*.auth"),
    Object(heading="### auth: oauth2_client_credentials", name="ClientCredentialsAuth", place="services.*.auth"),
    Object(heading="## Steps", name="Step", place="steps.*", noun="step"),
    Object(heading="### mirrored", name="MirroredStates", place="steps.*.mirrored", noun="mirrored states"),
    Object(heading="### assets", name="Assets", place="steps.*.assets", noun="assets"),
    Object(heading="### assets.owner", name="Owner", place="steps.*.assets.owner", noun="owner"),
    Object(heading="### find", name="Find", place="steps.*.find", noun="question before it"),
    Object(heading="### probe", name="Probe", place="steps.*.probe", noun="probe"),
    Object(heading="### poll", name="Poll", place="steps.*.poll", noun="poll"),
    Object(heading="### follow_up", name="FollowUp", place="steps.*.follow_up", noun="follow-up"),
    Object(heading="### undo", name="Undo", place="steps.*.undo", noun="undo"),
    Object(heading="### on_permanent", name="LastResort", place="steps.*.on_permanent", noun="last resort"),
    Object(heading="### retain", name="Retain", place="steps.*.retain", noun="retention ground"),
    Object(heading="## Requests", name="Request", noun="request"),
    Object(heading="### Over HTTP", name="HttpRequest", noun="request over HTTP"),
    Object(heading="### Of a database", name="SqlRequest"),
    Object(heading="### Of Python code", name="PythonRequest"),
)
#: What a form links to that is no object of its own.
_LINKS = {
    "Duration": "[duration](#durations-and-rates)",
    "Rate": "[rate](#durations-and-rates)",
    "Service": "[service](#services)",
    "Auth": "`type: none`, [`bearer`](#auth-bearer), [`basic`](#auth-basic), [`api_key`](#auth-api_key) or "
    "[`oauth2_client_credentials`](#auth-oauth2_client_credentials)",
}
#: The pattern by which the schema tells a name.
_NAME = TypeAdapter(Identifier).json_schema()["pattern"]
#: A service's own value comes before these defaults.
_INHERITED = {
    "Lookup": {"patience"},
    "AlsoAsked": {"patience"},
    "Fact": {"patience"},
    "SuccessorPolicy": {"patience"},
    "Step": {"patience", "absent", "transient", "permanent"},
}


def plan_reference() -> str:
    """The page."""
    schema = plan_schema()
    definitions: dict[str, Schema] = {**schema["$defs"], "": schema}
    definitions["_Service"], shared = _what_all_services_share(definitions)
    parts = [HEAD.format(example=EXAMPLE), _contents()]
    for about in OBJECTS:
        skip = shared if about.name.endswith("Service") and about.name != "_Service" else frozenset()
        parts += _section(about, definitions, skip=skip)
    parts += [VALUES, _places(), _answers(), _results(), _ownership()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _what_all_services_share(definitions: Mapping[str, Schema]) -> tuple[Schema, frozenset[str]]:
    """The keys that every kind of service has, as an object of its own."""
    kinds = [definitions[name]["properties"] for name in ("HttpService", "SqlService", "PythonService")]
    shared = [key for key in kinds[0] if all(key in kind for kind in kinds)]
    type_of = {**definitions["Service"]["properties"]["type"], "description": "What kind of system it is."}
    properties = {key: type_of if key == "type" else kinds[0][key] for key in ("type", *shared)}
    return {"description": definitions["Service"]["description"], "properties": properties}, frozenset(shared)


def _contents() -> str:
    lines = []
    for about in OBJECTS:
        level = about.heading.index(" ")
        lines.append(f"{'  ' * (level - 2)}- [{about.title}](#{_anchor(about.title)})")
    return "\n".join(lines + [f"- [{title}](#{_anchor(title)})" for title in _OTHERS])


_OTHERS = (
    "Durations and rates",
    "Secrets",
    "Templates",
    "What an answer means",
    "How a step ends",
    "What the person owned",
)


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in " -_")
    return kept.replace(" ", "-")


def _section(about: Object, definitions: Mapping[str, Schema], *, skip: frozenset[str]) -> Iterator[str]:
    definition = definitions[about.name]
    yield about.heading
    if about.name:
        yield definition["description"]
    if about.name in NOTES:
        yield NOTES[about.name]
    if _shown(about.place) != about.title and about.place:
        yield f"In a plan: `{_shown(about.place)}`"
    rows = [
        _row(about, key, part, definitions, required=key in definition.get("required", ()))
        for key, part in definition.get("properties", {}).items()
        if key not in skip and "const" not in part
    ]
    if rows:
        yield "\n".join(["| key | what | form | default | required |", "|---|---|---|---|---|", *rows])
    if about.name in REQUESTS:
        yield f"```yaml\n{REQUESTS[about.name]}```"


def _shown(place: str) -> str:
    """`steps.*.probe` as the page writes it."""
    return place.replace("*", "<name>")


def _row(about: Object, key: str, part: Schema, definitions: Mapping[str, Schema], *, required: bool) -> str:
    default = f"`{_written(part['default'])}`" if "default" in part else ""
    if key in _INHERITED.get(about.name, ()):
        default = f"the service's, else {default or 'none'}"
    # Where a key says no more than the object that it holds, pydantic leaves the description to that.
    what = part.get("description") or definitions[part["$ref"].rpartition("/")[2]]["description"]
    cells = [f"`{key}`", what, _form(about, key, part), default, "yes" if required else ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _form(about: Object, key: str, part: Schema) -> str:
    at = f"{about.place}.{key}".removeprefix(".")
    if key in _template_keys(about.name):
        return _of_templates(part)
    if (name := part.get("$ref", "").rpartition("/")[2]) in ("Request", "HttpRequest"):
        return _link(name)
    if at in PLACES:
        return _text_form(is_expression=PLACES[at].is_expression)
    if f"{at}.*" in PLACES:
        return f"name → {_text_form(is_expression=PLACES[f'{at}.*'].is_expression)}"
    if at in SECRET_PLACES:
        return "text with [secrets](#secrets)"
    if f"{at}.*" in SECRET_PLACES:
        return "name → text with [secrets](#secrets)"
    return _either(_plain_forms(part))


def _written(default: Any) -> Any:
    """A default as plans write it."""
    return str(default).lower() if isinstance(default, bool) else default


def _template_keys(name: str) -> set[str]:
    """Which keys of a request hold templates: asked of the example, which has every key."""
    if name not in REQUESTS:
        return set()
    request = TypeAdapter[Any](Request).validate_python(yaml.safe_load(REQUESTS[name]))
    return {str(path[0]) for path, _ in request.templates()}


def _of_templates(part: Schema) -> str:
    if part.get("type") == "string":
        return _text_form(is_expression=False)
    if part.get("additionalProperties", {}).get("type") == "string":
        return f"name → {_text_form(is_expression=False)}"
    of_each = "name → " if part.get("type") == "object" else ""
    return f"{of_each}any data; its texts are [templates](#templates)"


def _text_form(*, is_expression: bool) -> str:
    return "[expression](#templates)" if is_expression else "[template](#templates)"


def _plain_forms(part: Schema) -> list[str]:
    """The ways in which a value may be written."""
    match part:
        case {"$ref": str(reference)}:
            return [_link(reference.rpartition("/")[2])]
        case {"enum": list(values)}:
            return [f"`{value}`" for value in values]
        case {"anyOf": list(ways)}:
            return [form for way in ways for form in _plain_forms(way)]
        case {"if": _, "then": dict(then), "else": dict(otherwise)}:
            return [*_plain_forms(otherwise), *_plain_forms(then)]
        case {"type": "array", "items": dict(items)}:
            return [f"list of {_either([_plural(form) for form in _plain_forms(items)])}"]
        case {"type": "object", "additionalProperties": dict(value)}:
            return [f"name → {_either(_plain_forms(value))}"]
        case {"type": "integer", "minimum": 100, "maximum": 599}:
            return ["status code"]
        case {"type": "integer", "minimum": int(least), "maximum": int(most)}:
            return [f"{least} to {most}"]
        case {"type": "boolean"}:
            return ["`true`", "`false`"]
        case {"type": "string", "pattern": str(pattern)} if pattern == _NAME:
            return ["name"]
    return ["text"]


def _either(forms: list[str]) -> str:
    return " or ".join([", ".join(forms[:-1]), forms[-1]]) if len(forms) > 1 else forms[0]


def _plural(form: str) -> str:
    """`names`, `[durations](#…)`."""
    return form.replace("]", "s]", 1) if form.startswith("[") else f"{form}s"


def _link(name: str) -> str:
    for about in OBJECTS:
        if about.name == name:
            return f"[{about.noun}](#{_anchor(about.title)})"
    return _LINKS[name]


def _places() -> str:
    """Which names each place knows. Places that know the same stand together."""
    names = list(NAMES)
    by_names: dict[tuple[str, ...], list[str]] = {}
    for place, allowed in PLACES.items():
        by_names.setdefault(tuple(name for name in names if name in allowed.names), []).append(place)
    rows = [f"| `{name}` | {what} |" for name, what in NAMES.items()]
    places = [
        f"| {', '.join(f'`{_shown(place)}`' for place in places)} | {', '.join(f'`{name}`' for name in known)} |"
        for known, places in by_names.items()
    ]
    return "\n".join(
        [
            TEMPLATES,
            "| name | what |",
            "|---|---|",
            *rows,
            "",
            "Not every place knows every name:",
            "",
            "| place | may name |",
            "|---|---|",
            *places,
        ]
    )


def _answers() -> str:
    rows = [f"| {row.answers} | {row.means} |" for row in ANSWERS]
    return "\n".join([ANSWERS_HEAD, "| answer | means |", "|---|---|", *rows, "", ANSWERS_END])


def _results() -> str:
    rows = [f"| `{result}` | {what} |" for result, what in RESULTS.items()]
    return "\n".join([RESULTS_HEAD, "| result | means |", "|---|---|", *rows])


def _ownership() -> str:
    rows = [f"| `{result}` | {what} |" for result, what in ASSET_RESULTS.items()]
    return OWNERSHIP.format(example=OWNERSHIP_EXAMPLE, asset_results="\n".join(rows))


if __name__ == "__main__":
    print(plan_reference(), end="")
