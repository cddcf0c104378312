"""What may enter a history, and how: the data converter of worker and clients.

Two promises are kept here. Whatever a sender puts into a message, decoding it never raises: a message that can't be
decoded would be dropped, or would block the run for ever. And an exception that is not one of ours never reaches a
history with its text: it may hold an address, a name, a body.
"""

import dataclasses
import traceback
from collections.abc import Sequence
from typing import Any

import temporalio.api.common.v1 as common
import temporalio.api.failure.v1 as failure_api
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter, DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from workflows.reading import UNREADABLE

_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class LenientPayloadConverter(PydanticPayloadConverter):
    """Pydantic models where a type is given; where none is (our message handlers), anything at all, never an error."""

    def __init__(self) -> None:
        # The SDK makes a converter for every payload; what each would build again (adapters of every model) is kept.
        CompositePayloadConverter.__init__(self, *_CONVERTERS)

    def from_payloads(self, payloads: Sequence[common.Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decode; without type hints an undecodable payload becomes `UNREADABLE`."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._read(payload) for payload in payloads]

    def _read(self, payload: common.Payload) -> Any:
        try:
            return super().from_payloads([payload], None)[0]
        except Exception:
            return UNREADABLE


class OwnWordsFailureConverter(DefaultFailureConverter):
    """Passes our own errors; rewrites every other exception to its type and the places it went through."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: failure_api.Failure
    ) -> None:
        """Serialise an exception without anything that could have come from a person or a service."""
        if not isinstance(exception, FailureError):
            name = type(exception).__name__
            frames = traceback.extract_tb(exception.__traceback__)
            places = "\n".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames)
            exception = ApplicationError(f"Unexpected {name}; see the stack trace for where", type=name)
            super().to_failure(exception, payload_converter, failure)
            failure.stack_trace = places
            return
        super().to_failure(exception, payload_converter, failure)
        failure.stack_trace = ""
        if failure.HasField("cause") and isinstance(exception, ApplicationError):
            failure.ClearField("cause")


DATA_CONVERTER = dataclasses.replace(
    DataConverter.default,
    payload_converter_class=LenientPayloadConverter,
    failure_converter_class=OwnWordsFailureConverter,
)
