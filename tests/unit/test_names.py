"""A stored name is a promise to histories, dashboards and other people's scripts: joined by others, never changed."""

from enum import StrEnum

import pytest
from temporalio.api.enums.v1 import IndexedValueType

from workflows import names
from workflows.names import transfer_workflow_id, workflow_id

RELEASED: dict[type[StrEnum], str] = {
    names.Activity: "open_case check_subject run_step undo_step pass_point_of_no_return turn_back verify_erasure"
    " record_messages close_case send_mail take_up_transfer check_transfer mirror_end cancel_at_source follow_up",
    names.Phase: "open check freeze cool_off recheck transfer erase verify release tell going_back closed",
    names.Outcome: "COMPLETE ABORTED ERRORED",
    names.Reason: "rescinded no_such_subject not_eligible no_successor claim_lost lookup_failed freeze_failed hold_expired"
    " abandoned already_running errored_before already_complete duplicate_request not_resumable",
    names.StepResult: "erased absent retained done scrubbed transferred unverified failed skipped manual",
    names.Direction: "forward back",
    names.HeldCause: "credentials configuration conflict vault",
    names.Mail: "received reminder extended rescinded aborted complete errored held deadline no_successor handover"
    " disclosed work_failed",
    names.Audience: "mail operators admins recipients",
    names.WorkState: "open done failed",
    names.AssetResult: "moved anonymised deleted already_owned not_found refused retrying",
}

CONSTANTS = {
    "ANOTHER_DRIVER": "another_driver",
    "WORKFLOW_TYPE": "RetireUser",
    "MAIL_WORKFLOW_TYPE": "DeliverMail",
    "TRANSFER_WORKFLOW_TYPE": "TransferOwnership",
    "FOLLOW_UP_WORKFLOW_TYPE": "FollowUp",
    "WORKFLOW_ID_PREFIX": "retire-user-",
    "TRANSFER_WORKFLOW_ID_PREFIX": "transfer-ownership-",
    "QUEUE": "retirement",
    "CALLS_QUEUE": "retirement-calls",
    "UNLIMITED_KEY": "*",
    "MAIN": "main",
    "RESCIND": "rescind",
    "EXTEND": "extend",
    "EXPEDITE": "expedite",
    "DECIDE": "decide",
    "STATUS": "status",
    "REPORT_HOLDER": "report",
    "TRANSFER_MEMO": "transfer_id",
    "ERRORED_ERROR": "RetirementErrored",
    "BAD_REQUEST_ERROR": "BadRequest",
}

KEYWORD, KEYWORDS, DATE = (
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
)
#: A type can never change on a live namespace.
ATTRIBUTES: dict[str, int] = {
    "RetirementPhase": KEYWORD,
    "RetirementOutcome": KEYWORD,
    "RetirementReason": KEYWORD,
    "RetirementPlan": KEYWORD,
    "RetirementTenant": KEYWORD,
    "RetirementHeld": KEYWORD,
    "RetirementFailedStep": KEYWORDS,
    "RetirementDueAt": DATE,
    "RetirementCoolOffEndsAt": DATE,
}


@pytest.mark.parametrize("kind", RELEASED, ids=lambda kind: kind.__name__)
def test_released_values_are_there_for_ever(kind: type[StrEnum]) -> None:
    released = RELEASED[kind].split()
    assert set(released) <= {member.value for member in kind}
    added = {member.value for member in kind} - set(released)
    assert not added, f"new names are promises, too: add {sorted(added)} to this list"


def test_every_kind_of_name_is_on_the_list() -> None:
    kinds = {value for value in vars(names).values() if isinstance(value, type) and issubclass(value, StrEnum)}
    assert kinds - {StrEnum} == set(RELEASED)
    constants = {name for name, value in vars(names).items() if isinstance(value, str) and name.isupper()}
    assert constants == set(CONSTANTS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_released_constants_keep_their_value(name: str) -> None:
    assert getattr(names, name) == CONSTANTS[name]


def test_released_search_attributes_keep_their_type() -> None:
    assert {key.name: int(key.indexed_value_type) for key in names.SEARCH_ATTRIBUTES} == ATTRIBUTES


@pytest.mark.parametrize(
    ("user_id", "tenant", "id"),
    [
        ("u-4711", None, "retire-user-u-4711"),
        ("u-4711", "acme", "retire-user-acme-u-4711"),
        ("4711", "", "retire-user-4711"),
    ],
)
def test_anybody_can_address_a_retirement(user_id: str, tenant: str | None, id: str) -> None:
    assert workflow_id(user_id=user_id, tenant=tenant) == id
    assert transfer_workflow_id(user_id=user_id, tenant=tenant) == id.replace("retire-user", "transfer-ownership")
