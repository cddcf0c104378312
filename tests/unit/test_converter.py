"""What may enter a history: messages of any shape are read, and no text that is not ours is written."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure as WrittenFailure
from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import ApplicationError

from activities.errors import step_failed, step_held, try_again
from worker.converter import DATA_CONVERTER
from workflows.messages import Failure, Start, StepOutcome
from workflows.names import HeldCause, StepResult
from workflows.reading import UNREADABLE

CANARY = "ada.lovelace@person.example"


def payload(data: bytes, **metadata: str) -> Payload:
    return Payload(metadata={key: value.encode() for key, value in metadata.items()}, data=data)


def written(error: BaseException) -> WrittenFailure:
    """The failure as it would lie in a history."""
    failure = WrittenFailure()
    DATA_CONVERTER.failure_converter.to_failure(error, DATA_CONVERTER.payload_converter, failure)
    return failure


def raised(error: BaseException) -> BaseException:
    """The same with frames and, where it has one, its cause."""
    try:
        raise error
    except BaseException as caught:
        return caught


UNDECODABLE = [
    payload(b"{broken", encoding="json/plain"),
    payload(b"", encoding="json/plain"),
    payload(b"\xff\xfe", encoding="json/plain"),
    payload(b'"\\ud800"', encoding="json/plain"),
    payload(b"[" * 100_000, encoding="json/plain"),
    payload(b"9" * 10_000, encoding="json/plain"),
    payload(b"anything", encoding="binary/encrypted"),
    payload(b"anything", encoding="no/such"),
    payload(b"anything"),
    payload(b"\x00\x01", encoding="binary/protobuf", messageType="no.such.Message"),
    payload(b"{}", encoding="json/protobuf", messageType="no.such.Message"),
    payload(b"{}", encoding="json/protobuf"),
]


@pytest.mark.parametrize("arrived", UNDECODABLE, ids=range(len(UNDECODABLE)))
def test_a_payload_that_cannot_be_decoded_is_unreadable_and_no_error(arrived: Payload) -> None:
    good = payload(b'{"by": "support-7"}', encoding="json/plain")
    read = DATA_CONVERTER.payload_converter.from_payloads([good, arrived, good])
    assert read[0] == read[2] == {"by": "support-7"}
    assert read[1] is UNREADABLE or arrived.data == b"9" * 10_000  # a number of any length may well be read


@given(data=st.binary(), encoding=st.sampled_from(["json/plain", "binary/plain", "binary/null", "json/protobuf", "?"]))
def test_no_message_of_any_bytes_is_an_error(data: bytes, encoding: str) -> None:
    assert len(DATA_CONVERTER.payload_converter.from_payloads([payload(data, encoding=encoding)])) == 1


def test_models_cross_as_they_are() -> None:
    outcome = StepOutcome(step="forum", result=StepResult.ERASED)
    payloads = DATA_CONVERTER.payload_converter.to_payloads([outcome])
    assert DATA_CONVERTER.payload_converter.from_payloads(payloads, [StepOutcome]) == [outcome]


def test_where_a_type_is_asked_for_a_wrong_shape_is_an_error_without_the_value() -> None:
    arrived = payload(f'{{"tenant": "{CANARY}"}}'.encode(), encoding="json/plain")
    with pytest.raises(ValidationError) as error:
        DATA_CONVERTER.payload_converter.from_payloads([arrived], [Start])
    assert CANARY not in str(written(error.value))


class Person(BaseModel):
    """A model that shows its input in errors."""

    age: int


def a_validation_error() -> BaseException:
    with pytest.raises(ValidationError) as error:
        Person.model_validate({"age": CANARY})
    assert CANARY in str(error.value)
    return error.value


def a_chain() -> BaseException:
    error = RuntimeError("own words")
    error.__cause__ = raised(ValueError(CANARY))
    error.__context__ = raised(KeyError(CANARY))
    error.add_note(CANARY)
    return error


FOREIGN = {
    "text": ValueError(CANARY),
    "argument": KeyError(CANARY),
    "os": FileNotFoundError(2, "No such file", f"/home/{CANARY}"),
    "group": ExceptionGroup(CANARY, [ValueError(CANARY)]),
    "validation": a_validation_error(),
    "chain": a_chain(),
}


@pytest.mark.parametrize("error", FOREIGN.values(), ids=FOREIGN)
def test_of_a_foreign_exception_only_type_and_places_are_written(error: BaseException) -> None:
    # A guard first: without our converter the canary would be found.
    plain = WrittenFailure()
    DefaultFailureConverter().to_failure(raised(error), DATA_CONVERTER.payload_converter, plain)
    assert CANARY in str(plain)
    failure = written(raised(error))
    assert CANARY not in str(failure)
    assert failure.application_failure_info.type == type(error).__name__
    assert failure.message == f"Unexpected {type(error).__name__}; see the stack trace for where"
    assert "test_converter.py" in failure.stack_trace
    assert "raised" in failure.stack_trace
    assert not failure.HasField("cause")


def test_a_foreign_exception_is_retried() -> None:
    assert not written(ValueError(CANARY)).application_failure_info.non_retryable


@pytest.mark.parametrize(
    ("error", "type"),
    [
        (step_failed(failure=Failure(code="http_404", step="forum")), "StepFailed"),
        (step_held(failure=Failure(code="http_401", step="forum", held=HeldCause.CREDENTIALS)), "StepHeld"),
    ],
)
def test_our_own_errors_are_written_as_built_without_what_led_to_them(error: ApplicationError, type: str) -> None:
    error.__cause__ = raised(ValueError(CANARY))
    failure = written(raised(error))
    assert failure.message == str(error.message)
    assert failure.application_failure_info.type == type
    assert failure.application_failure_info.non_retryable
    assert CANARY not in str(failure)
    assert not failure.HasField("cause")
    assert failure.stack_trace == ""
    read = DATA_CONVERTER.failure_converter.from_failure(failure, DATA_CONVERTER.payload_converter)
    assert isinstance(read, ApplicationError)
    assert Failure.model_validate(read.details[0]).step == "forum"


def test_what_is_tried_again_keeps_its_wait() -> None:
    error = try_again(failure=Failure(code="http_503", step="forum"), after=timedelta(seconds=3))
    info = written(error).application_failure_info
    assert (info.next_retry_delay.seconds, info.non_retryable) == (3, False)
