"""The plan's shape as a JSON Schema (draft 2020-12), for editors: completion, descriptions, and mistakes while one writes.

The model is the only source; what is changed here is how it reads in an editor. What no schema can say (names that must
exist, an order without circles) is told by `retire plan check`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter

from plans.fields import Duration, Identifier, RateField
from plans.model import MailSettings, Plan
from workflows.durations import ACCEPTED, format_duration

Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def plan_schema() -> Schema:
    """The schema of a plan's file."""
    raw = Plan.model_json_schema(by_alias=True, mode="validation")
    definitions = {name: _polished(definition) for name, definition in raw.pop("$defs").items()}
    choices = {name: definitions.pop(name) for name in [name for name in definitions if "enum" in definitions[name]]}
    definitions = {name: _with_choices(definition, choices) for name, definition in definitions.items()}
    plan = _polished(raw)
    _add_unions(definitions)
    _add_rules(definitions)
    plan["properties"]["claims"]["items"] = {
        "if": {"type": "object"},
        "then": _reference("Claim"),
        "else": {"type": "string"},
    }
    return {
        "$schema": _DRAFT,
        "title": "Retirement plan",
        **plan,
        "description": "Who is retired, when, where and how. `retire plan check` tells what an editor can't see.",
        "$defs": {**definitions, **_SHARED},
    }


def _reference(name: str, **more: Any) -> Schema:
    return {"$ref": f"#/$defs/{name}", **more}


#: Not of the standard, but the editors that know `errorMessage` and `patternErrorMessage` show them in place of a pattern.
_NOT_A_DURATION = f"Not a duration; write {ACCEPTED}."
_MESSAGES = {
    TypeAdapter(Identifier).json_schema()["pattern"]: "Not a name; write lower-case letters, digits, - and _, "
    "a letter first, at most 63.",
    MailSettings.model_json_schema()["properties"]["language"]["pattern"]: "Not a language; write a tag: de, pt-BR.",
    "^/": "Begin with /; the service's base_url comes before it.",
}
_SHARED: Mapping[str, Schema] = {
    "Duration": {
        "description": "A number and a unit (ms, s, m, h, d, w), several where needed: 14d, 1h30m. 0 is no time at all.",
        "if": {"type": "integer"},
        "then": {"const": 0, "errorMessage": _NOT_A_DURATION},
        "else": {
            "type": "string",
            "pattern": r"^ *(0|(\d{1,12} *(ms|s|m|h|d|w) *)+)$",
            "patternErrorMessage": _NOT_A_DURATION,
        },
        "examples": ["14d", "1h30m"],
    },
    "Rate": {
        "type": "string",
        "description": "A number of calls and s, m or h: 20/s, 300/m.",
        "pattern": r"^ *[1-9]\d{0,5} */ *(s|m|h) *$",
        "patternErrorMessage": "Not a rate; write a number of calls and s, m or h, for example 20/s.",
        "examples": ["20/s", "300/m"],
    },
}
_PATTERN_OF = {
    TypeAdapter(Duration).json_schema()["pattern"]: "Duration",
    TypeAdapter(RateField).json_schema()["pattern"]: "Rate",
}
#: Which definition a union of these is called after.
_UNIONS = {
    frozenset({"HttpRequest", "SqlRequest", "PythonRequest"}): "Request",
    frozenset({"HttpService", "SqlService", "PythonService"}): "Service",
    frozenset({"NoAuth", "BearerAuth", "BasicAuth", "ApiKeyAuth", "ClientCredentialsAuth"}): "Auth",
}


def _polished(raw: Schema) -> Schema:
    """A part of pydantic's schema as people would have written it: no made-up titles, no nulls, no empty defaults."""
    if (name := _PATTERN_OF.get(raw.get("pattern", ""))) is not None:
        raw = {**_reference(name), **{key: raw[key] for key in ("description", "default") if key in raw}}
    polished: Schema = {}
    for key, value in raw.items():
        match key:
            case "title" | "discriminator":
                continue
            case "default":
                if value not in (None, [], {}) and not isinstance(value, dict):
                    polished[key] = _as_written(value, raw)
            case "description":
                polished[key] = "\n\n".join(" ".join(part.split()) for part in value.split("\n\n"))
            case "properties":
                polished[key] = {name: _polished(part) for name, part in value.items()}
            case "patternProperties":
                [(pattern, part)] = value.items()
                names = {"pattern": pattern, "patternErrorMessage": _MESSAGES[pattern]}
                polished |= {"propertyNames": names, "additionalProperties": _polished(part)}
            case "pattern" if value in _MESSAGES:
                polished |= {key: value, "patternErrorMessage": _MESSAGES[value]}
            case "anyOf":
                polished |= _alternatives([part for part in value if part != {"type": "null"}])
            case "oneOf":
                polished |= _reference(_UNIONS[frozenset(part["$ref"].rpartition("/")[2] for part in value)])
            case "items":
                polished[key] = _polished(value)
            case "additionalProperties" if value is True:
                continue
            case "additionalProperties":
                polished[key] = _polished(value) if isinstance(value, dict) else value
            case _:
                polished[key] = value
    return polished


def _with_choices(definition: Schema, choices: Mapping[str, Schema]) -> Schema:
    """Words to choose from stand where they are chosen."""
    properties = {}
    for key, part in definition.get("properties", {}).items():
        choice = choices.get(part.get("$ref", "").rpartition("/")[2])
        properties[key] = part if choice is None else {**choice, **{k: v for k, v in part.items() if k != "$ref"}}
    return {**definition, **({"properties": properties} if properties else {})}


def _alternatives(parts: list[Schema]) -> Schema:
    """Several ways to write a value; one that was left of "this or null" is just that."""
    polished = [_polished(part) for part in parts]
    return polished[0] if len(polished) == 1 else {"anyOf": polished}


def _as_written(default: Any, raw: Schema) -> Any:
    """Pydantic writes a duration as ISO 8601; plans don't."""
    if raw.get("$ref") == "#/$defs/Duration":
        return format_duration(TypeAdapter(timedelta).validate_python(default))
    return default


def _add_unions(definitions: dict[str, Schema]) -> None:
    """Unions as decisions instead of alternatives: an editor then offers, and complains of, the one kind that is meant."""
    deciding = {
        "sql": {"description": definitions["SqlRequest"]["properties"]["sql"]["description"]},
        "call": {"description": definitions["PythonRequest"]["properties"]["call"]["description"]},
    }
    definitions["Request"] = {
        "type": "object",
        "description": "What is asked of a service: `method` and `path` over HTTP, `sql` of a database, `call` of Python code.",
        "if": {"required": ["sql"]},
        "then": _reference("SqlRequest"),
        "else": {
            "if": {"required": ["call"]},
            "then": _reference("PythonRequest"),
            # The keys of the other kinds are offered as long as nothing is decided.
            "else": _reference("HttpRequest", properties=deciding),
        },
    }
    definitions["Service"] = {
        "type": "object",
        "description": "A system that holds something of the person.",
        "properties": {"type": {"enum": ["http", "sql", "python"], "default": "http"}},
        "if": _is("type", "sql"),
        "then": _reference("SqlService"),
        "else": {
            "if": _is("type", "python"),
            "then": _reference("PythonService"),
            "else": _reference("HttpService"),
        },
    }
    kinds = {
        definitions[name]["properties"]["type"]["const"]: name
        for name in ("NoAuth", "BearerAuth", "BasicAuth", "ApiKeyAuth", "ClientCredentialsAuth")
    }
    definitions["Auth"] = {
        "type": "object",
        "description": "How a call shows who it is.",
        "properties": {"type": {"enum": list(kinds)}},
        "required": ["type"],
        "allOf": [{"if": _is("type", kind), "then": _reference(name)} for kind, name in kinds.items()],
    }


def _is(key: str, value: str) -> Schema:
    return {"properties": {key: {"const": value}}, "required": [key]}


def _add_rules(definitions: dict[str, Schema]) -> None:
    """What the model asks of several keys together."""
    definitions["Fact"]["dependentRequired"] = {"next_page": ["items"]}
    definitions["Fact"]["dependentSchemas"] = {"items": _none_of("value")}
    step = definitions["Step"]
    beside_retain = {"phase", "after", "service", "retain"}
    beside_manual = {"phase", "after", "manual", "mirrored", "patience"}
    step["dependentRequired"] = {"deferrable": ["mirrored"]}
    step["allOf"] = [
        {
            "if": {"required": ["retain"]},
            "then": {
                "properties": {
                    "phase": {"const": "erase"},
                    **{key: False for key in step["properties"] if key not in beside_retain},
                }
            },
            "else": {
                "if": {"required": ["manual"]},
                "then": {"properties": {key: False for key in step["properties"] if key not in beside_manual}},
                "else": {
                    "required": ["service", "request"],
                    "allOf": [_one_of("freeze", "undo", "no_undo"), _one_of("erase", "probe", "unprobed")],
                },
            },
        },
        *({"if": _is("phase", phase), "else": _none_of(*keys)} for phase, keys in _ONLY_IN.items()),
        {"if": {"properties": {"phase": {"enum": ["transfer", "erase"]}}}, "else": _none_of("successor")},
        {"if": {"required": ["assets"]}, "then": _none_of(*_NOT_OF_ASSETS)},
    ]
    definitions["SuccessorPolicy"]["if"] = _is("named", "refused")
    definitions["SuccessorPolicy"]["then"] = {"required": ["candidates"]}


#: Keys that mean nothing in another phase.
_ONLY_IN = {
    "freeze": ("undo", "no_undo"),
    "transfer": ("assets",),
    "erase": ("unprobed", "on_permanent", "mirrored", "follow_up", "manual"),
    "release": ("identifiers",),
}

#: Keys that mean nothing where the request is made for each asset.
_NOT_OF_ASSETS = (
    *("find", "done_when", "timeout", "longest_timeout"),
    *("save", "probe", "poll", "absent_unchecked"),
)


def _one_of(phase: str, one: str, other: str) -> Schema:
    """In this phase one of two keys has to be there, and not both."""
    return {"if": _is("phase", phase), "then": {"oneOf": [{"required": [one]}, {"required": [other]}]}}


def _none_of(*keys: str) -> Schema:
    return {"properties": dict.fromkeys(keys, False)}
