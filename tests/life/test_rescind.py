"""Changing one's mind: before the point of no return it always wins, after it it is refused and the work goes on."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import all_of, brisk, with_patience
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.messages import Status
from workflows.names import Outcome, Phase, Reason

_COOL_OFF = timedelta(days=14)


def nothing_is_lost(stage: Stage, person: Person) -> None:
    """The person has everything they had, and can log in."""
    assert stage.sandbox.accounts.can_log_in(person)
    forum = stage.sandbox.forum.kept(person)
    assert forum is not None and forum["mutes"] == []
    assert forum["posts"] == person.posts
    assert stage.sandbox.newsletter.kept(person) is not None
    for service in stage.sandbox.services.values():
        assert "erase" not in service.effects_on(person)
        assert "accept_deletion" not in service.effects_on(person)


async def is_rescinded(run: Retirement, stage: Stage, person: Person, *, by: str | None = None) -> None:
    """The end, as everybody sees it."""
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)
    case = await stage.case_of(person)
    assert (case.state, case.outcome, case.reason) == (CaseState.CLOSED, "ABORTED", "rescinded")
    [message] = [m for m in await stage.ledger.messages(case.retirement_id) if m.code == "rescinded"]
    assert (message.kind, message.accepted, message.by) == ("rescind", True, by)
    assert await run.attribute(names.REASON_ATTRIBUTE) == "rescinded"
    status = await run.status()
    assert (status.phase, status.reason, status.may_rescind) == (Phase.CLOSED, Reason.RESCINDED, False)
    nothing_is_lost(stage, person)


def rescinded_mails(stage: Stage, person: Person) -> int:
    """How often the person was told that the account is back."""
    return sum(mail["subject"] == "Your account is back" for mail in stage.sandbox.mailbox.mails(person))


async def test_during_the_check_nothing_was_touched(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, user=ada, method="GET", times=None)
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.CHECK)
    assert (await run.ask(names.RESCIND, by="support-7")).accepted
    await is_rescinded(run, stage, ada, by="support-7")
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert stage.sandbox.forum.effects_on(ada) == []


async def test_a_freeze_that_is_being_retried_is_interrupted_and_undone(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="PUT", times=None)
    run = await stage.start(ada, running_clock=True)

    async def is_retrying() -> None:
        assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
        assert len([r for r in stage.sandbox.forum.requests(ada) if r.method == "PUT"]) >= 2

    await eventually(is_retrying)
    assert (await run.status()).phase is Phase.FREEZE
    assert (await run.ask(names.RESCIND)).accepted
    await is_rescinded(run, stage, ada)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == []
    # Of the mute nobody knows whether it took effect: it is undone, too.
    assert [r.method for r in stage.sandbox.forum.requests(ada)][-1] == "DELETE"


async def test_an_unlock_never_overtakes_a_lock_in_flight(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    lock = f"/users/{ada.user_id}/lock"
    stage.sandbox.accounts.misbehave(FaultKind.SLOW, seconds=1, path_prefix=lock)
    run = await stage.start(ada, running_clock=True)

    def is_in_flight() -> None:
        assert lock in [request.path for request in stage.sandbox.accounts.requests(ada)]

    await eventually(is_in_flight)
    assert (await run.ask(names.RESCIND)).accepted
    await is_rescinded(run, stage, ada)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]


async def test_in_the_cool_off_the_account_comes_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    assert not stage.sandbox.accounts.can_log_in(ada)
    await run.skip(timedelta(days=13, hours=23))
    answer = await run.ask(names.RESCIND, by="support-7", reason_code="changed_mind")
    assert (answer.accepted, answer.code, answer.gone) == (True, "rescinded", ())
    await is_rescinded(run, stage, ada, by="support-7")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert rescinded_mails(stage, ada) == 1


async def test_during_the_recheck_the_account_comes_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, user=ada, method="GET", times=None)
    await run.skip(_COOL_OFF)
    await run.reaches(Phase.RECHECK)
    assert (await run.ask(names.RESCIND)).accepted
    await is_rescinded(run, stage, ada)


async def test_whoever_was_locked_before_stays_locked(stage: Stage) -> None:
    ada = stage.sandbox.add_person(locked=True)
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    assert (await run.result()).reason is Reason.RESCINDED
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    assert not stage.sandbox.accounts.can_log_in(ada)
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]


async def test_after_the_point_it_is_refused_with_what_is_gone_and_the_work_goes_on(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=None)
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)

    async def newsletter_is_gone() -> Status:
        status = await run.status()
        assert status.gone == ("newsletter",)
        return status

    assert not (await eventually(newsletter_is_gone)).may_rescind
    answer = await run.ask(names.RESCIND, by="support-7")
    assert (answer.accepted, answer.code, answer.gone) == (False, "past_return", ("newsletter",))
    stage.sandbox.forum.behave()
    await run.skip(timedelta(minutes=10))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "erase"]
    case = await stage.case_of(ada)
    assert [(m.kind, m.accepted, m.code, m.by) for m in await stage.ledger.messages(case.retirement_id)] == [
        ("rescind", False, "past_return", "support-7")
    ]
    assert rescinded_mails(stage, ada) == 0


async def test_twice_is_once(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.accounts.misbehave(
        FaultKind.STATUS, status=503, path_prefix=f"/users/{ada.user_id}/unlock", times=None
    )
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    first = await run.ask(names.RESCIND, by="support-7")
    await run.reaches(Phase.GOING_BACK)
    second = await run.ask(names.RESCIND, by="support-8")
    late = await run.ask(names.EXTEND, by_duration="1d")
    assert (first.accepted, first.code) == (True, "rescinded")
    assert (second.accepted, second.code) == (True, "already_rescinded")
    assert (late.accepted, late.code) == (False, "going_back")
    stage.sandbox.accounts.behave()
    await run.skip(timedelta(minutes=10))
    await is_rescinded(run, stage, ada, by="support-7")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    messages = await stage.ledger.messages((await stage.case_of(ada)).retirement_id)
    assert [(m.kind, m.code, m.by) for m in messages] == [
        ("rescind", "rescinded", "support-7"),
        ("rescind", "already_rescinded", "support-8"),
        ("extend", "going_back", None),
    ]


async def test_a_native_cancel_before_the_point_is_a_rescind(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.handle.cancel()
    await is_rescinded(run, stage, ada, by="cancel")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]


async def test_a_native_cancel_after_the_point_is_noted_and_the_work_goes_on(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=503, user=ada, method="DELETE", times=None)
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), cool_off="0", running_clock=True)
    await run.reaches(Phase.ERASE)
    await run.handle.cancel()

    async def is_noted() -> None:
        assert [(m.accepted, m.code, m.by) for m in (await run.status()).messages] == [(False, "past_return", "cancel")]

    await eventually(is_noted)
    stage.sandbox.forum.behave()
    await run.skip(timedelta(minutes=10))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert stage.sandbox.accounts.kept(ada) is None
    messages = await stage.ledger.messages((await stage.case_of(ada)).retirement_id)
    assert [(m.kind, m.accepted, m.by) for m in messages] == [("rescind", False, "cancel")]


async def test_a_signal_while_no_worker_runs_is_kept(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    async with stage.crew.away():
        await run.handle.signal(names.RESCIND, {"by": "support-7"})
    await is_rescinded(run, stage, ada, by="support-7")


async def test_a_signal_before_any_worker_has_seen_the_start_leaves_the_account_alone(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    async with stage.crew.away():
        run = await stage.start(ada, running_clock=True)
        await run.handle.signal(names.RESCIND, {"by": "support-7"})
    await is_rescinded(run, stage, ada, by="support-7")
    assert stage.sandbox.accounts.effects_on(ada) == []


async def test_a_signal_before_the_end_wins_though_the_cool_off_ends_before_a_worker_is_back(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, cool_off="3s", running_clock=True)
    await run.reaches(Phase.COOL_OFF)

    async def timer_has_fired() -> None:
        assert [summary for summary, _ in await run.timers()] == ["cool-off ends"]

    async with stage.crew.away():
        await run.handle.signal(names.RESCIND, {})
        await eventually(timer_has_fired)
    await is_rescinded(run, stage, ada)


def _with(kind: FaultKind, **fault: int) -> Callable[[Stage, Person], None]:
    def misbehave(stage: Stage, person: Person) -> None:
        path = f"/users/{person.user_id}/unlock"
        stage.sandbox.accounts.misbehave(kind, path_prefix=path, **fault)  # type: ignore[arg-type]

    return misbehave


@pytest.mark.parametrize(
    "misbehave",
    [_with(FaultKind.LOST_ANSWER), _with(FaultKind.STATUS, status=503, times=2), _with(FaultKind.TOKEN_EXPIRY)],
    ids=["its answer is lost", "the service is down", "the token expires"],
)
async def test_an_undo_in_trouble_is_tried_again(stage: Stage, misbehave: Callable[[Stage, Person], None]) -> None:
    ada = stage.sandbox.add_person()
    misbehave(stage, ada)
    plan = stage.plan("some-patience", all_of(brisk, with_patience("3s")))
    run = await stage.start(ada, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.ask(names.RESCIND)
    await is_rescinded(run, stage, ada)
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
