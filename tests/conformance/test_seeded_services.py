"""The kit finds what is wrong with a service, and nothing where nothing is: one seeded fault a service."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from activities.actions.dispatch import Actions
from plans.defaults import with_defaults
from plans.model import Plan
from starter.conformance.kit import KIT
from starter.conformance.running import run_kit
from starter.conformance.target import BadTarget, target_in
from starter.conformance.verdicts import Outcome, Result
from tests.support.members import TOKEN, Fault, Members, a_plan, members

USERS = ("test-1", "test-2", "test-3", "test-4", "test-5")
LOCKED = "test-locked"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERS_TOKEN", TOKEN)


@pytest.fixture
async def actions() -> AsyncIterator[Actions]:
    actions = Actions(version="0.test")
    yield actions
    await actions.close()


async def checked(
    actions: Actions,
    service: Members,
    step: str,
    *,
    users: Sequence[str] = USERS,
    within: timedelta = timedelta(milliseconds=100),
    change: Callable[[dict[str, Any]], None] = lambda document: None,
    bound: Sequence[str] = (),
    **changes: Any,
) -> list[Result]:
    """Run the whole kit against a step of the service."""
    service.add(*USERS)
    service.add(LOCKED, locked=True)
    service.bound |= set(bound)
    document = a_plan(service.url, **changes)
    change(document)
    plan = with_defaults(Plan.model_validate(document))
    locked = LOCKED if step == "lock" else None
    target = target_in(plan, step_id=step)
    return await run_kit(target, action=actions, users=list(users), locked_user=locked, within=within)


def those(results: Sequence[Result], outcome: Outcome) -> set[str]:
    return {result.check for result in results if result.outcome is outcome}


@dataclass(frozen=True)
class Seeded:
    """A fault, the checks that must catch it, and those that may fail with it for good reason."""

    fault: Fault
    caught_by: frozenset[str]
    may_fail: frozenset[str] = frozenset()
    step: str = "erase"
    changes: dict[str, Any] = field(default_factory=dict)


def seeded(fault: Fault, caught_by: str, *, may_fail: str = "", step: str = "erase", **changes: Any) -> Seeded:
    return Seeded(fault, frozenset(caught_by.split()), frozenset(may_fail.split()), step, changes)


#: What needs the erasure to succeed fails with it.
_AT_ONCE = "two_at_once client_gone two_people_at_once"

SEEDED = [
    seeded(Fault.PAGES, "reachable"),
    seeded(Fault.BLIND, "sees_person"),
    seeded(Fault.SEES_EVERYBODY, "unknown_is_gone", may_fail=f"read_hostile_ids gone_after {_AT_ONCE}"),
    seeded(Fault.UNKNOWN_BREAKS_READ, "unknown_is_gone", may_fail=f"read_hostile_ids gone_after {_AT_ONCE}"),
    seeded(Fault.READS_OPEN, "read_needs_token", may_fail="token_before_person"),
    seeded(Fault.ANY_TOKEN_READS, "read_refuses_wrong_token"),
    seeded(Fault.READ_DECODES_FIRST, "read_hostile_ids"),
    seeded(Fault.READ_STUMBLES, "read_hostile_ids"),
    seeded(Fault.LOGIN_PAGE, "no_redirect", may_fail="read_needs_token"),
    seeded(Fault.CHANGES_OPEN, "request_needs_token"),
    seeded(Fault.ANY_TOKEN_CHANGES, "request_needs_token"),
    seeded(Fault.CHANGES_OPEN, "request_needs_token", step="lock"),
    seeded(Fault.UNKNOWN_BREAKS, "unknown_person", may_fail=f"hostile_requests repeat_other_key long_key {_AT_ONCE}"),
    seeded(Fault.DECODES_FIRST, "hostile_requests"),
    seeded(Fault.DECODES_FIRST, "hostile_requests", may_fail="bystander", step="lock"),
    seeded(Fault.REFUSES, "request_answers", may_fail=_AT_ONCE),
    seeded(
        Fault.SLOW, "request_answers in_time", may_fail=f"unknown_person hostile_requests {_AT_ONCE}", timeout="300ms"
    ),
    seeded(Fault.FOREIGN_PLACE, "finishes", may_fail=f"unknown_person {_AT_ONCE}", step="later"),
    seeded(Fault.NEVER_DONE, "finishes", may_fail=f"unknown_person {_AT_ONCE}", step="later"),
    seeded(Fault.LIES, "gone_after", may_fail=_AT_ONCE),
    seeded(Fault.PERSON_BEFORE_TOKEN, "token_before_person"),
    seeded(Fault.REPEAT_REFUSED, "repeat_same_key", may_fail="two_at_once client_gone"),
    seeded(Fault.GONE_IS_CONFLICT, "repeat_other_key", may_fail="long_key two_at_once"),
    seeded(Fault.SHORT_KEYS, "long_key"),
    seeded(Fault.STRICT_UNDO, "undo_without_freeze", may_fail="undo_twice", step="lock"),
    seeded(Fault.UNDO_ONCE, "undo_twice", step="lock"),
    seeded(Fault.RESTORES_NOTHING, "undo_restores", may_fail="undo_twice", step="lock"),
    seeded(Fault.RESTORES_TOO_MUCH, "undo_restores", may_fail="undo_without_freeze undo_twice", step="lock"),
    # The fault is the plan's: it unlocks whoever was locked by somebody else.
    seeded(Fault.NONE, "frozen_stays_frozen", step="lock", no_when=True),
    seeded(Fault.RACES, "two_at_once"),
    seeded(Fault.TABLE_LOCK, "two_people_at_once"),
    seeded(Fault.STUCK_KEY, "client_gone", may_fail="two_at_once"),
    seeded(Fault.TAKES_THE_NEXT, "bystander"),
    seeded(Fault.LOCKS_NOTHING, "frozen_shows", step="lock"),
    seeded(Fault.REPLACING_REFUSED, "last_resort", may_fail="two_at_once", step="replace", bound=("test-3",)),
    seeded(Fault.REPLACES_NOTHING, "last_resort", may_fail="two_at_once", step="replace", bound=("test-3",)),
    seeded(Fault.REPLACES_ONCE, "last_resort", may_fail="two_people_at_once", step="replace", bound=("test-5",)),
    seeded(Fault.SILENT_429, "retry_after"),
]


@pytest.mark.parametrize("seed", SEEDED, ids=lambda seed: f"{seed.step}: {seed.fault.value}")
async def test_a_seeded_fault_is_caught_by_its_check_and_by_no_other(actions: Actions, seed: Seeded) -> None:
    async with members(seed.fault) as service:
        results = await checked(actions, service, seed.step, **seed.changes)
    failed = those(results, Outcome.FAILED)
    told = {result.check: result.seen for result in results if result.outcome is not Outcome.PASSED}
    assert failed >= seed.caught_by, told
    assert failed <= seed.caught_by | seed.may_fail, told


def test_every_check_of_the_kit_catches_a_seeded_fault() -> None:
    assert {check.id for check in KIT} == frozenset().union(*(seed.caught_by for seed in SEEDED))


_FREEZE_ONLY = {check.id for check in KIT if check.freeze_only}


@pytest.mark.parametrize(
    ("step", "does_not_apply"),
    [
        ("erase", {"finishes", "last_resort", *_FREEZE_ONLY}),
        ("later", {"last_resort", *_FREEZE_ONLY}),
        # Its probe is the lookup, which goes on seeing whoever is locked.
        ("lock", {"finishes", "gone_after", "last_resort"}),
    ],
)
async def test_a_service_that_does_everything_right_passes_everything(
    actions: Actions, step: str, does_not_apply: set[str]
) -> None:
    async with members() as service:
        results = await checked(actions, service, step, within=timedelta(seconds=20))
    assert [(each.check, each.seen) for each in results if each.outcome in (Outcome.FAILED, Outcome.LEFT_OUT)] == []
    assert those(results, Outcome.DOES_NOT_APPLY) == does_not_apply
    assert those(results, Outcome.PASSED) == {check.id for check in KIT} - does_not_apply
    if step == "lock":
        assert {user: member.locked for user, member in service.people.items()} == {
            **dict.fromkeys(USERS, False),
            LOCKED: True,
        }
    else:
        assert service.erased == ["test-1", "test-3", "test-4", "test-2", "test-5"]


@pytest.mark.parametrize("bound", [USERS[:1], USERS[1:2], USERS[2:3], USERS[3:4], USERS[4:], USERS])
async def test_whoever_is_refused_for_good_is_done_by_the_last_resort(actions: Actions, bound: Sequence[str]) -> None:
    async with members() as service:
        results = await checked(actions, service, "replace", bound=bound, within=timedelta(seconds=20))
    assert [(each.check, each.seen) for each in results if each.outcome in (Outcome.FAILED, Outcome.LEFT_OUT)] == []
    assert those(results, Outcome.DOES_NOT_APPLY) == {"finishes", *_FREEZE_ONLY}
    assert set(service.people) == {*bound, LOCKED}
    assert {(service.people[user].name, service.people[user].email) for user in bound} == {("former member", None)}


async def test_a_last_resort_is_looked_at_only_where_somebody_is_refused(actions: Actions) -> None:
    async with members() as service:
        results = await checked(actions, service, "replace", within=timedelta(seconds=20))
    assert {result.check: result.seen for result in results if result.outcome is Outcome.LEFT_OUT} == {
        "last_resort": "the service refused none of the test users for good: give one with --user whom it refuses"
    }
    assert those(results, Outcome.FAILED) == set()


async def test_accepted_work_that_the_service_gives_up_is_done_by_the_last_resort(actions: Actions) -> None:
    def by_jobs(document: dict[str, Any]) -> None:
        later = document["steps"]["later"]
        later["on_permanent"] = document["steps"]["replace"]["on_permanent"]
        later["poll"] = {**later["poll"], "failed": "body.state == 'working'"}

    async with members(Fault.NEVER_DONE) as service:
        results = await checked(actions, service, "later", change=by_jobs)
    # Of nobody's job nothing is left to replace.
    assert those(results, Outcome.FAILED) == {"unknown_person"}
    left_out = {result.check: result.seen for result in results if result.outcome is Outcome.LEFT_OUT}
    assert left_out == {"finishes": "it answered 202, then failed, so the last resort was done; see last_resort"}
    assert those(results, Outcome.PASSED) >= {"request_answers", "last_resort", "two_people_at_once"}
    assert service.people["test-1"].name == "former member"


def _with(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """A last resort whose request, or whose probe, is otherwise."""

    def change(document: dict[str, Any]) -> None:
        resort = document["steps"]["replace"]["on_permanent"]
        resort["request"] |= {"json": changes.get("json", resort["request"]["json"])}
        resort["probe"] |= {"gone_when": changes.get("gone_when", resort["probe"]["gone_when"])}
        if "probe" in changes:
            del resort["probe"]

    return change


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (
            _with(json={"email": None}),
            "the last resort was answered 200, but its probe doesn't say that the person is gone (200)",
        ),
        (
            _with(json={"name": "former member"}, gone_when="body.name == 'former member'"),
            "the last resort was answered 200, but the person's mail address can still be read",
        ),
        (
            _with(json={"name": "former member", "email": "None"}, gone_when="body.name == 'former member'"),
            'the last resort was answered 200, but the word "None" was written (no value is `null` in YAML)',
        ),
        (
            _with(json={"name": "{{ saved.replace.none }}"}),
            "the last resort can't be made: it names a value that is missing or wrong (value_missing)",
        ),
        (
            _with(gone_when="body.id != ''"),
            "the last resort was answered 200, and its probe says gone; but it said so before anything was done, "
            "so it proves nothing (if an earlier run has replaced this test user's data, take another one)",
        ),
        (
            _with(json={"nickname": None}, probe=None),
            "the last resort was answered 200, but nothing that can be read of the person has changed",
        ),
    ],
)
async def test_a_wrong_last_resort_is_told(
    actions: Actions, change: Callable[[dict[str, Any]], None], seen: str
) -> None:
    async with members() as service:
        results = await checked(actions, service, "replace", change=change, bound=USERS[2:3])
    told = {result.check: result.seen for result in results if result.outcome is Outcome.FAILED}
    assert told["last_resort"] == f"test user 3 was refused, and {seen}"
    assert set(told) <= {"last_resort", "two_at_once"}


def _changes_state(key: str) -> Callable[[dict[str, Any]], None]:
    """A freeze that sets a state, under a key that the service knows or not."""

    def change(document: dict[str, Any]) -> None:
        lock = document["steps"]["lock"]
        there = {"method": "PATCH", "path": "/members/{{ user_id }}"}
        lock["request"] = {**there, "json": {key: "locked"}}
        lock["undo"]["request"] = {**there, "json": {"state": "active"}}

    return change


@pytest.mark.parametrize(
    ("key", "failed"),
    [
        ("state", {}),
        (
            "status",
            {"frozen_shows": "the request was answered 200, and nothing that can be read of test user 1 has changed"},
        ),
    ],
)
async def test_a_freeze_after_which_nothing_has_changed_is_no_freeze(
    actions: Actions, key: str, failed: dict[str, str]
) -> None:
    async with members() as service:
        results = await checked(actions, service, "lock", change=_changes_state(key))
    assert {result.check: result.seen for result in results if result.outcome is Outcome.FAILED} == failed


async def test_a_freeze_that_the_plan_does_not_read_is_left_out_with_the_way_to_read_it(actions: Actions) -> None:
    def reads_the_name_only(document: dict[str, Any]) -> None:
        document["subject"]["lookup"]["fields"] = {"name": "{{ body.name }}"}

    async with members() as service:
        results = await checked(actions, service, "lock", change=reads_the_name_only, no_when=True)
    left_out = {result.check: result.seen for result in results if result.outcome is Outcome.LEFT_OUT}
    assert set(left_out) == {"frozen_shows", "undo_restores", "frozen_stays_frozen"}
    assert left_out["frozen_shows"].startswith("something in the service's answer has changed, but not what the plan")
    assert those(results, Outcome.FAILED) == set()


async def test_what_lacks_a_test_user_is_left_out_and_not_passed(actions: Actions) -> None:
    async with members() as service:
        results = await checked(actions, service, "erase", users=USERS[:1])
    assert those(results, Outcome.LEFT_OUT) == {"two_at_once", "client_gone", "bystander", "two_people_at_once"}
    assert service.erased == ["test-1"]


async def test_whoever_is_not_there_is_told_and_spares_the_others(actions: Actions) -> None:
    async with members() as service:
        results = await checked(actions, service, "erase", users=["nobody-here", *USERS])
    (missed,) = (result for result in results if result.outcome is Outcome.FAILED)
    assert (missed.check, missed.seen) == ("sees_person", "it doesn't see test user 1")
    assert set(service.erased) == set(USERS)


async def test_a_service_that_can_t_be_asked_fails_one_check_and_leaves_out_the_others(actions: Actions) -> None:
    def nowhere(document: dict[str, Any]) -> None:
        document["services"]["members"]["base_url"] = "http://127.0.0.1:1"

    async with members() as service:
        results = await checked(actions, service, "erase", change=nowhere)
    assert those(results, Outcome.FAILED) == {"reachable"}
    assert those(results, Outcome.PASSED) == set()
    assert service.erased == []


async def test_a_refused_token_is_told_before_anything_is_done(
    actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMBERS_TOKEN", "of another environment")
    async with members() as service:
        results = await checked(actions, service, "erase")
    (failed,) = (result for result in results if result.outcome is Outcome.FAILED)
    assert (failed.check, failed.seen) == ("reachable", "401: our credentials are refused.")
    assert service.erased == []


async def test_no_result_names_a_test_user_or_a_secret(actions: Actions) -> None:
    for fault in (Fault.DECODES_FIRST, Fault.TAKES_THE_NEXT):
        async with members(fault) as service:
            results = await checked(actions, service, "erase")
        told = " ".join(result.seen for result in results)
        assert not [value for value in (*USERS, TOKEN, service.url) if value in told]


async def test_an_answer_that_lacks_what_is_to_be_saved_fails_the_request(actions: Actions) -> None:
    def save(document: dict[str, Any]) -> None:
        document["steps"]["lock"]["save"] = {"ticket": "{{ body.no_such_key }}"}

    async with members(Fault.NONE) as service:
        results = await checked(actions, service, "lock", change=save)
    seen = {result.check: result.seen for result in results if result.outcome is Outcome.FAILED}
    assert seen == {
        "request_answers": "it was done, but `save` can't be read from the answer (value_missing), "
        "so no later step and no undo could name it"
    }


def test_a_step_that_needs_what_another_one_saves_is_not_passed_unchecked() -> None:
    document = a_plan("http://127.0.0.1:1")
    document["steps"]["lock"]["save"] = {"ticket": "{{ body.id }}"}
    document["steps"]["erase"]["request"] = {"method": "DELETE", "path": "/locks/{{ saved.lock.ticket }}"}
    plan = with_defaults(Plan.model_validate(document))
    with pytest.raises(BadTarget, match="names what lock saves"):
        target_in(plan, step_id="erase")
    assert target_in(plan, step_id="lock").step_id == "lock"
