"""Operators hear of a legal limit that comes near: once, from whichever worker, and where no run is left to tell them."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from plans.model import Plan
from sandbox.client import Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk, with_patience
from tests.support.post import a_mailing_plan
from tests.support.stage import Stage
from tests.support.waiting import eventually
from worker import housekeeping
from worker.deadlines import Deadlines, nearness
from workflows.messages import Result
from workflows.names import Mail, Phase, mail_workflow_id

OPERATORS = "watch@sandbox.example"
HOUR = timedelta(hours=1)


def due_soon(document: PlanDocument) -> None:
    """Law and operators are impatient."""
    document["deadline"] = "2h"
    document["cool_off"] = {"duration": "1h"}
    document["mail"] |= {"operators": [OPERATORS], "deadline_near": "30m"}


def told(stage: Stage, retirement_id: str | None) -> list[str]:
    """The subjects of what operators were mailed of legal limits of a retirement."""
    subjects = [mail["subject"] for mail in stage.sandbox.mailbox.mails(OPERATORS)]
    return [subject for subject in subjects if "legal limit" in subject and str(retirement_id) in subject]


async def errored(stage: Stage, person: Person, plan: str, **fields: str) -> Result:
    """A retirement whose run is over and failed."""
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, user=person, method="DELETE", times=None)
    return await (await stage.start(person, plan=plan, cool_off="0", running_clock=True, **fields)).errored()


async def test_each_unfinished_retirement_is_told_of_once_by_all_workers_together(stage: Stage) -> None:
    plan = stage.plan("due-soon", all_of(brisk, with_patience("400ms"), due_soon))
    ada, ben = stage.sandbox.add_person(), stage.sandbox.add_person()
    stopped = (await errored(stage, ada, plan)).retirement_id
    run = await stage.start(ben, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    live = (await stage.case_of(ben)).retirement_id
    workers = [Deadlines(client=stage.client, ledger=stage.ledger) for _ in range(2)]

    async def look(after: timedelta) -> int:
        return sum(await asyncio.gather(*(each.look(now=datetime.now(UTC) + after) for each in workers)))

    assert await look(HOUR) == 0
    assert await look(1.75 * HOUR) == 2
    for retirement_id in (stopped, live):
        assert retirement_id is not None
        id = mail_workflow_id(retirement_id=retirement_id, mail=Mail.DEADLINE)
        assert (await stage.client.get_workflow_handle(id).result())["result"] == "sent"
        assert told(stage, retirement_id) == [f"[retirement] legal limit is near: {retirement_id} (due-soon)"]
        rows = await stage.ledger.mails(retirement_id)
        assert [(row.mail, row.number, row.result) for row in rows if row.mail == "deadline"] == [
            ("deadline", "", "sent")
        ]
    [mail] = [
        mail
        for mail in stage.sandbox.mailbox.mails(OPERATORS)
        if str(stopped) in mail["text"] and "limit" in mail["subject"]
    ]
    assert "state:        ERRORED, past_return since" in mail["text"] and f"retire resume {stopped}" in mail["text"]
    assert ada.email not in mail["text"] and ada.user_id not in mail["text"]
    # Neither these workers nor one that has just come tell again, however late it gets.
    workers.append(Deadlines(client=stage.client, ledger=stage.ledger))
    assert await look(3 * HOUR) == 0
    assert [len(told(stage, id)) for id in (stopped, live)] == [1, 1]


async def test_while_the_mail_server_is_away_the_mail_is_begun_once(stage: Stage) -> None:
    plan = stage.plan("due-soon", all_of(brisk, with_patience("400ms"), due_soon))
    ada = stage.sandbox.add_person()
    retirement_id = (await errored(stage, ada, plan)).retirement_id
    assert retirement_id is not None
    await stage.sandbox.take_down("mailbox")
    try:
        looks = [Deadlines(client=stage.client, ledger=stage.ledger) for _ in range(2)]
        begun = [await each.look(now=datetime.now(UTC) + 1.75 * HOUR) for each in (*looks, *looks)]
    finally:
        await stage.sandbox.bring_back("mailbox")
    assert begun == [1, 0, 0, 0]
    id = mail_workflow_id(retirement_id=retirement_id, mail=Mail.DEADLINE)
    assert (await stage.client.get_workflow_handle(id).result())["result"] == "sent"
    assert len(told(stage, retirement_id)) == 1


async def test_a_worker_s_housekeeping_tells_by_the_real_clock(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_EVERY", 0.05)
    plan = stage.plan("due-soon", all_of(brisk, with_patience("400ms"), due_soon))
    long_ago = (datetime.now(UTC) - 3 * HOUR).isoformat()
    retirement_id = (await errored(stage, stage.sandbox.add_person(), plan, requested_at=long_ago)).retirement_id
    house = asyncio.create_task(housekeeping.keep_house(stage.ledger, client=stage.client))
    try:

        def is_told() -> None:
            assert told(stage, retirement_id) == [f"[retirement] legal limit has passed: {retirement_id} (due-soon)"]

        await eventually(is_told)
    finally:
        house.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await house


@pytest.mark.parametrize(
    ("deadline", "near", "expected"),
    [
        ("gdpr", "7d", timedelta(days=7)),
        ("gdpr", "40d", timedelta(days=15.5)),
        ("ccpa", "7d", timedelta(days=7)),
        ("4h", "7d", timedelta(hours=2)),
    ],
)
def test_nothing_is_near_before_half_of_its_time(deadline: str, near: str, expected: timedelta) -> None:
    mail = {"from": "a@acme.example", "operators": ["ops@acme.example"], "deadline_near": near}
    plan: Plan = a_mailing_plan(deadline=deadline, mail=mail)
    assert nearness(plan, now=datetime(2026, 3, 4, tzinfo=UTC)) == expected
