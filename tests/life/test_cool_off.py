"""The cool-off: its length, its reminders, and how it is made longer or shorter."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sandbox.client import Person
from tests.support.plans import PlanDocument, all_of, brisk
from tests.support.stage import Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Outcome, Phase, Reason

#: A timer may fire a little after its instant.
_SOON = timedelta(minutes=1)


def mails_about(stage: Stage, person: Person, subject: str) -> list[dict[str, Any]]:
    """The person's mails whose subject begins so."""
    return [mail for mail in stage.sandbox.mailbox.mails(person) if mail["subject"].startswith(subject)]


def moment(at: datetime) -> str:
    """An instant as the mails write it in English."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y}, {at:%H:%M} UTC"


def sent_at(mail: dict[str, Any]) -> datetime:
    """The date the mail bears."""
    return parsedate_to_datetime(mail["headers"]["date"])


def is_soon_after(at: datetime, due: datetime) -> bool:
    """Did it happen when it was due?"""
    return timedelta(seconds=-1) <= at - due < _SOON


def _without_expedite(document: PlanDocument) -> None:
    document["cool_off"]["expedite"] = "refused"


async def test_reminders_come_seven_days_and_one_day_before_the_end(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada)
    assert (await run.result()).outcome is Outcome.COMPLETE
    case = await stage.case_of(ada)
    end = case.cool_off_ends_at
    assert end == case.requested_at + timedelta(days=14)

    [received] = mails_about(stage, ada, "Your account will be deleted on")
    assert is_soon_after(sent_at(received), case.requested_at)
    reminders = mails_about(stage, ada, "Reminder:")
    assert len(reminders) == 2
    for mail, days in zip(reminders, (7, 1), strict=True):
        assert is_soon_after(sent_at(mail), end - timedelta(days=days)), mail["headers"]["date"]
    for mail in (received, *reminders):
        assert moment(end) in mail["text"]
        assert moment(end) in mail["html"]

    timers = await run.timers()
    assert [summary for summary, _ in timers] == ["next reminder", "next reminder", "cool-off ends"]
    for (_, at), days in zip(timers, (7, 1, 0), strict=True):
        assert is_soon_after(at, end - timedelta(days=days))
    [complete] = mails_about(stage, ada, "Your account has been deleted")
    assert is_soon_after(sent_at(complete), end)
    assert [mail.mail for mail in await stage.ledger.mails(case.retirement_id)] == [
        "received",
        "reminder",
        "reminder",
        "complete",
    ]


async def test_nothing_is_erased_one_minute_before_the_end(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await run.skip(timedelta(days=14, minutes=-1))
    assert (await run.status()).phase is Phase.COOL_OFF
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute"]
    await run.skip(timedelta(minutes=2))
    assert (await run.result()).outcome is Outcome.COMPLETE


async def test_an_extension_moves_the_end_and_the_reminders(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    before = await run.reaches(Phase.COOL_OFF)
    assert before.cool_off_ends_at is not None
    await run.skip(timedelta(days=8))  # the first reminder has been sent
    answer = await run.ask(names.EXTEND, by_duration="5d", by="support-7", reason_code="on_leave")
    end = before.cool_off_ends_at + timedelta(days=5)
    assert (answer.accepted, answer.cool_off_ends_at) == (True, end)
    assert (await run.status()).cool_off_ends_at == end
    await run.skip()
    assert (await run.result()).outcome is Outcome.COMPLETE

    [told] = mails_about(stage, ada, "New date:")
    assert moment(end) in told["text"]
    reminders = mails_about(stage, ada, "Reminder:")
    dates = [end - timedelta(days=12), end - timedelta(days=7), end - timedelta(days=1)]
    assert len(reminders) == 3
    for mail, due in zip(reminders, dates, strict=True):
        assert is_soon_after(sent_at(mail), due)
    assert moment(end) in reminders[-1]["text"]
    case = await stage.case_of(ada)
    assert case.cool_off_ends_at == end
    assert is_soon_after((await run.timers())[-1][1], end)
    assert await run.attribute(names.COOL_OFF_ENDS_AT_ATTRIBUTE) == end
    assert [
        (m.kind, m.accepted, m.code, m.by, m.reason_code) for m in await stage.ledger.messages(case.retirement_id)
    ] == [("extend", True, "extended", "support-7", "on_leave")]


async def test_an_extension_that_is_no_later_or_beyond_the_max_is_refused(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, running_clock=True)
    end = (await run.reaches(Phase.COOL_OFF)).cool_off_ends_at
    assert end is not None
    requested_at = end - timedelta(days=14)
    refused = [
        await run.ask(names.EXTEND, by_duration="8d"),
        await run.ask(names.EXTEND, until=(requested_at + timedelta(days=21, seconds=1)).isoformat()),
        await run.ask(names.EXTEND, until=(end - timedelta(days=1)).isoformat()),
        await run.ask(names.EXTEND, by_duration="0s"),
        await run.ask(names.EXTEND),
    ]
    assert [(answer.accepted, answer.code) for answer in refused] == [
        (False, "beyond_max"),
        (False, "beyond_max"),
        (False, "not_later"),
        (False, "not_later"),
        (False, "bad_until_or_by_duration"),
    ]
    assert {answer.cool_off_ends_at for answer in refused} == {end}
    latest = await run.ask(names.EXTEND, until=(requested_at + timedelta(days=21)).isoformat())
    assert (latest.accepted, latest.cool_off_ends_at) == (True, requested_at + timedelta(days=21))
    await run.ask(names.RESCIND)
    await run.result()
    messages = await stage.ledger.messages((await stage.case_of(ada)).retirement_id)
    assert [message.accepted for message in messages] == [False] * 5 + [True, True]


async def test_expedite_ends_the_cool_off_at_once(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("brisk", brisk), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    answer = await run.ask(names.EXPEDITE, by="support-7")
    assert (answer.accepted, answer.code) == (True, "expedited")
    assert (await run.result()).outcome is Outcome.COMPLETE
    case = await stage.case_of(ada)
    assert case.closed_at is not None
    assert case.closed_at - case.requested_at < _SOON
    assert stage.sandbox.accounts.kept(ada) is None
    assert [(m.kind, m.code, m.by) for m in await stage.ledger.messages(case.retirement_id)] == [
        ("expedite", "expedited", "support-7")
    ]


async def test_a_plan_may_refuse_to_expedite(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("no-haste", all_of(brisk, _without_expedite)), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    answer = await run.ask(names.EXPEDITE)
    assert (answer.accepted, answer.code) == (False, "refused_by_plan")
    await run.skip(timedelta(days=13))
    assert (await run.status()).phase is Phase.COOL_OFF
    assert stage.sandbox.accounts.effects_on(ada) == ["lock"]
    await run.ask(names.RESCIND)
    await run.result()


async def test_the_cool_off_runs_from_the_request(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    now = datetime.now(UTC)
    requested_at = now - timedelta(days=13, hours=12)
    run = await stage.start(
        ada, plan=stage.plan("brisk", brisk), requested_at=requested_at.isoformat(), running_clock=True
    )
    status = await run.reaches(Phase.COOL_OFF)
    assert status.requested_at == requested_at
    assert status.cool_off_ends_at == requested_at + timedelta(days=14)
    await run.skip(timedelta(hours=13))
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert mails_about(stage, ada, "Reminder:") == []  # both were due before anybody had been asked


async def test_a_cool_off_that_is_over_already_is_none(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    requested_at = datetime.now(UTC) - timedelta(days=20)
    run = await stage.start(
        ada, plan=stage.plan("brisk", brisk), requested_at=requested_at.isoformat(), running_clock=True
    )
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert await run.timers() == []
    looked_up = [r for r in stage.sandbox.accounts.requests(ada) if r.method == "GET" and r.path.startswith("/users/")]
    # The lookup and the probe at the check; the probe after the step and at the end: no re-check, as no time has passed.
    assert len(looked_up) == 4


def _reminders_at_once(document: PlanDocument) -> None:
    """Two reminders within the first two of eight seconds."""
    document["cool_off"] = {"duration": "8s", "reminders": ["7s", "6s"]}


async def test_reminders_missed_without_a_worker_are_one_mail(stage: Stage) -> None:
    ada = stage.sandbox.add_person()
    run = await stage.start(ada, plan=stage.plan("reminders", _reminders_at_once), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    end = (await stage.case_of(ada)).cool_off_ends_at
    async with stage.crew.away():
        await eventually(lambda: _has_passed(end - timedelta(seconds=6)))

    def reminders() -> list[dict[str, Any]]:
        found = mails_about(stage, ada, "Reminder:")
        assert found
        return found

    await eventually(reminders)
    await run.ask(names.RESCIND)
    assert (await run.result()).reason is Reason.RESCINDED
    assert len(reminders()) == 1


def _has_passed(instant: datetime) -> None:
    assert datetime.now(UTC) > instant
