"""What a person owned finds a new owner before anything is erased, or the retirement stops before anything was destroyed."""

import secrets
from datetime import timedelta
from typing import Any

import pytest

from sandbox.client import Person
from sandbox.faults import FaultKind
from sandbox.launch import HOLDERS
from tests.support.plans import PlanDocument, all_of, brisk
from tests.support.stage import Stage
from workflows import names
from workflows.names import HeldCause, Outcome, Phase, Reason, StepResult

_COOL_OFF = timedelta(days=14)
_AT_ONCE = "0"


@pytest.fixture
def plan(stage: Stage) -> str:
    return stage.team_plan("team", brisk)


@pytest.fixture
def org() -> str:
    """An org that nobody else works for: the sandbox's people are those of all tests."""
    return f"org-{secrets.token_hex(4)}"


def an_owner(stage: Stage, of_org: str, **details: object) -> Person:
    known: dict[str, Any] = {"org": of_org, "roles": ("author",), "documents": 3}
    return stage.sandbox.add_person(**known | details)


def an_admin(stage: Stage, of_org: str, **details: object) -> Person:
    known: dict[str, Any] = {"org": of_org, "roles": ("admin",)}
    return stage.sandbox.add_person(**known | details)


def owners(stage: Stage, *people: Person) -> list[int]:
    """How many documents each of them owns."""
    return [len(stage.sandbox.documents.documents_of(person)) for person in people]


def is_untouched(stage: Stage, person: Person) -> bool:
    """Nothing was ever done to them, anywhere."""
    return not any(stage.sandbox.services[name].effects_on(person) for name in HOLDERS)


# --- handed over -----------------------------------------------------------------------------------------------------


async def test_everything_goes_to_a_colleague_before_anything_is_erased(stage: Stage, plan: str, org: str) -> None:
    ada, bob = an_owner(stage, org, documents=120), an_admin(stage, org, name="Bob")
    run = await stage.start(ada, plan=plan)
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    [documents] = [step for step in result.steps if step.step == "documents"]
    assert (documents.result, documents.detail) == (
        StepResult.TRANSFERRED,
        "PUT /documents/{{ asset.id }}/owner → 120 moved",
    )
    assert owners(stage, ada, bob) == [0, 120]
    moved = stage.sandbox.documents.transfers(ada)
    assert len(moved) == 120 and set(moved.values()) == {1}
    assert {document.owner_name for document in stage.sandbox.documents.documents_of(bob)} == {"Bob"}
    last_moved = max(effect.monotonic for effect in stage.sandbox.documents.effects(ada))
    assert last_moved < min(effect.monotonic for effect in stage.sandbox.forum.effects(ada) if effect.effect == "erase")


async def test_whoever_owns_nothing_needs_no_successor(stage: Stage, plan: str, org: str) -> None:
    ada = an_owner(stage, org, documents=0)
    result = await (await stage.start(ada, plan=plan, cool_off=_AT_ONCE)).result()
    assert result.outcome is Outcome.COMPLETE
    [documents] = [step for step in result.steps if step.step == "documents"]
    assert (documents.result, documents.code) == (StepResult.ABSENT, "nothing_owned")


async def test_whom_the_request_names_takes_over(stage: Stage, plan: str, org: str) -> None:
    ada, bob, cleo = an_owner(stage, org), an_admin(stage, org), an_owner(stage, org, documents=0)
    result = await (await stage.start(ada, plan=plan, cool_off=_AT_ONCE, successor=cleo.user_id)).result()
    assert result.outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob, cleo) == [0, 0, 3]


async def test_what_is_created_meanwhile_is_handed_over_too(stage: Stage, plan: str, org: str) -> None:
    ada, bob = an_owner(stage, org, documents=0), an_admin(stage, org)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.documents.add_documents(owner=ada, count=2)
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob) == [0, 2]


async def test_a_service_that_says_moved_and_did_not_is_found_out(stage: Stage, org: str) -> None:
    plan = stage.team_plan("team-impatient", all_of(brisk, _impatient))
    ada, bob = an_owner(stage, org, documents=2), an_admin(stage, org)
    stage.sandbox.documents.misbehave(FaultKind.LIE, user=ada, method="PUT", times=None)
    errored = await (await stage.start(ada, plan=plan, cool_off=_AT_ONCE)).errored()
    assert [(step.step, step.code) for step in errored.steps if step.result is StepResult.FAILED] == [
        ("documents", "still_owned")
    ]
    assert stage.sandbox.forum.effects_on(ada) == ["mute"] and owners(stage, ada, bob) == [2, 0]
    stage.sandbox.documents.behave()
    resumed = await stage.start(ada, plan=plan, resume=errored.retirement_id)
    assert (await resumed.result()).outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob) == [0, 2]
    assert set(stage.sandbox.documents.transfers(ada).values()) == {1}


def _impatient(document: PlanDocument) -> None:
    document["steps"]["documents"]["patience"] = "1s"


# --- nobody to hand over to ------------------------------------------------------------------------------------------


async def test_where_nobody_takes_over_nothing_is_frozen(stage: Stage, plan: str, org: str) -> None:
    ada = an_owner(stage, org)
    an_admin(stage, org, locked=True)
    result = await (await stage.start(ada, plan=plan)).result()
    assert (result.outcome, result.reason, result.code) == (
        Outcome.ABORTED,
        Reason.NO_SUCCESSOR,
        "colleague:nobody_suitable",
    )
    assert is_untouched(stage, ada) and stage.sandbox.accounts.can_log_in(ada)


@pytest.mark.parametrize(
    ("successor", "code"),
    [
        ({"roles": ("member",)}, "named_unsuitable"),
        ({"org": "elsewhere", "roles": ("admin",)}, "named_unsuitable"),
        ({"roles": ("author",), "locked": True}, "named_unsuitable"),
        (None, "named_unsuitable"),
    ],
    ids=["without the role", "of another org", "locked", "unknown"],
)
async def test_whoever_may_not_take_over_is_refused_though_they_are_named(
    stage: Stage, plan: str, org: str, successor: dict[str, object] | None, code: str
) -> None:
    ada = an_owner(stage, org)
    an_admin(stage, org)
    named = "u-nobody" if successor is None else an_owner(stage, org, **successor).user_id
    result = await (await stage.start(ada, plan=plan, successor=named)).result()
    assert (result.reason, result.code) == (Reason.NO_SUCCESSOR, f"colleague:{code}")
    assert is_untouched(stage, ada)


async def test_nobody_inherits_from_themselves(stage: Stage, plan: str, org: str) -> None:
    ada = an_owner(stage, org, roles=("author", "admin"))
    an_admin(stage, org, locked=True)
    result = await (await stage.start(ada, plan=plan, successor=ada.user_id)).result()
    assert (result.reason, result.code) == (Reason.NO_SUCCESSOR, "colleague:named_self")


# --- time passes -----------------------------------------------------------------------------------------------------


async def test_a_rescind_leaves_everything_with_its_owner(stage: Stage, plan: str, org: str) -> None:
    ada, bob = an_owner(stage, org), an_admin(stage, org)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND, by="support-7")
    assert (await run.result()).reason is Reason.RESCINDED
    assert owners(stage, ada, bob) == [3, 0] and stage.sandbox.documents.effects(ada) == []


async def test_a_role_lost_in_the_cool_off_makes_somebody_else_take_over(stage: Stage, plan: str, org: str) -> None:
    ada = an_owner(stage, org)
    bob, cleo = sorted((an_admin(stage, org), an_admin(stage, org)), key=lambda person: person.user_id)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.set_roles(bob, ["member"])
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob, cleo) == [0, 0, 3]


async def test_where_nobody_is_left_after_the_cool_off_the_account_comes_back(
    stage: Stage, plan: str, org: str
) -> None:
    ada, bob = an_owner(stage, org), an_admin(stage, org)
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.set_roles(bob, ["member"])
    await run.skip()
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NO_SUCCESSOR)
    assert stage.sandbox.accounts.can_log_in(ada) and owners(stage, ada) == [3]


async def test_a_successor_lost_past_the_point_stops_it_and_a_resume_names_another(
    stage: Stage, plan: str, org: str
) -> None:
    ada, bob, cleo = an_owner(stage, org), an_admin(stage, org), an_owner(stage, org, documents=0)
    # Between the point and the first write: the inventory of the transfer asks for credentials that are wrong.
    stage.sandbox.documents.misbehave(FaultKind.STATUS, status=401, user=ada, method="PUT", times=None)
    run = await stage.start(ada, plan=plan, cool_off=_AT_ONCE, running_clock=True)
    hold = await run.holds("documents")
    assert hold.cause is HeldCause.CREDENTIALS
    stage.sandbox.accounts.set_roles(bob, ["member"])
    stage.sandbox.documents.behave()
    await run.skip()
    errored = await run.errored()
    assert [(step.step, step.code) for step in errored.steps if step.result is StepResult.FAILED] == [
        ("documents", "successor_lost")
    ]
    assert stage.sandbox.forum.effects_on(ada) == ["mute"] and owners(stage, ada, bob) == [3, 0]
    resumed = await stage.start(ada, plan=plan, resume=errored.retirement_id, successor=cleo.user_id)
    assert (await resumed.result()).outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob, cleo) == [0, 0, 3]


# --- several at once -------------------------------------------------------------------------------------------------


async def test_whoever_is_being_retired_takes_nothing_over(stage: Stage, plan: str, org: str) -> None:
    ada, bob, cleo = an_owner(stage, org), an_admin(stage, org), an_admin(stage, org)
    going = await stage.start(bob, plan=plan, running_clock=True)
    await going.reaches(Phase.COOL_OFF)
    result = await (await stage.start(ada, plan=plan, cool_off=_AT_ONCE, successor=bob.user_id)).result()
    assert (result.reason, result.code) == (Reason.NO_SUCCESSOR, "colleague:named_retiring")
    again = await (await stage.start(ada, plan=plan, cool_off=_AT_ONCE, request_id="2")).result()
    assert again.outcome is Outcome.COMPLETE
    assert owners(stage, ada, bob, cleo) == [0, 0, 3]
    await going.ask(names.RESCIND, by="support-7")
    await going.result()


async def test_two_who_name_each_other_never_wait_for_each_other(stage: Stage, plan: str, org: str) -> None:
    ada, bob = an_owner(stage, org), an_owner(stage, org)
    first = await stage.start(ada, plan=plan, cool_off=_AT_ONCE, successor=bob.user_id)
    second = await stage.start(bob, plan=plan, cool_off=_AT_ONCE, successor=ada.user_id)
    ends = [await first.result(), await second.result()]
    complete = [end for end in ends if end.outcome is Outcome.COMPLETE]
    assert len(complete) <= 1
    assert all(end.reason is Reason.NO_SUCCESSOR for end in ends if end not in complete)
    assert sum(owners(stage, ada, bob)) == 6
