"""The kinds of values that fields of a plan are made of."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from workflows.durations import format_duration, parse_duration


class PlanModel(BaseModel):
    """Closed and immutable; a plan's errors never show the value (it may be a secret put in the wrong place)."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True, serialize_by_alias=True
    )


#: Step and plan ids reach metrics, logs and search attributes: literals of a small alphabet.
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
#: HTTP status codes.
StatusCode = Annotated[int, Field(ge=100, le=599)]
#: A Jinja2 expression, bare or in `{{ }}`.
Expression = str
#: A text with Jinja2's `{{ }}` in it.
Template = str
#: A text with secret references `${env:NAME}` or `${file:/path}` in it.
Reference = str

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{1,12}(ms|s|m|h|d|w) ?)+$", "examples": ["14d", "1h30m"]}),
]

_RATE = re.compile(r"([1-9]\d{0,5})/(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many calls in a second, a minute or an hour."""

    calls: int
    unit: str

    @property
    def per_second(self) -> float:
        """The same rate in calls a second."""
        return self.calls / _SECONDS[self.unit]

    def __str__(self) -> str:
        """As plans write it: `20/s`."""
        return f"{self.calls}/{self.unit}"


def parse_rate(value: object) -> Rate:
    """Read `20/s`, `300/m`, `1000/h`; a `Rate` is passed through.

    Raises:
        ValueError: anything else; the message says the accepted form.
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, str) and (match := _RATE.fullmatch(value.replace(" ", ""))):
        return Rate(calls=int(match.group(1)), unit=match.group(2))
    raise ValueError("isn't a rate; write a number of calls and s, m or h, for example 20/s")


#: A rate as a field of a plan.
RateField = Annotated[
    Rate,
    BeforeValidator(parse_rate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,5}/(s|m|h)$", "examples": ["20/s"]}),
]

#: Plain data as YAML gives it; its texts are templates.
Data = Any
