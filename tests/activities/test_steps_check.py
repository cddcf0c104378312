"""The check of a person against a real service: whom it finds, and whom it refuses."""

from datetime import timedelta
from pathlib import Path

import pytest

from activities.errors import STEP_HELD, TRY_AGAIN
from tests.support.forum_steps import AUTHOR, guarded, opened
from tests.support.http_service import HttpService, Reply
from tests.support.step_case import START, USER, refused
from workflows.names import HeldCause, Reason

DAY = timedelta(days=1)


async def test_the_check_keeps_what_it_found_and_whom_the_probes_saw(tmp_path: Path, service: HttpService) -> None:
    service.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
    service.on("GET", AUTHOR, Reply())
    async with opened(tmp_path, service) as case:
        checked = await case.check()
        assert checked.refused is None and checked.present == ("author",)
        start = await case.ledger.begin_step(retirement_id=case.retirement_id, step="author", action="do")
        assert start.values is not None and start.values["subject"] == {"email": "ada@example.com"}
        assert start.case.present == ("author",)


@pytest.mark.parametrize(("absent", "reason"), [("refuse", Reason.NO_SUCH_SUBJECT), ("proceed", None)])
async def test_somebody_unknown_is_refused_unless_the_plan_proceeds(
    tmp_path: Path, service: HttpService, absent: str, reason: Reason | None
) -> None:
    service.on("GET", f"/users/{USER}", guarded(404))
    async with opened(tmp_path, service, subject={"absent": absent}) as case:
        assert (await case.check()).refused is reason


@pytest.mark.parametrize(("id", "reason"), [("other", Reason.NO_SUCH_SUBJECT), (USER, None)])
async def test_an_answer_about_somebody_else_is_as_good_as_none(
    tmp_path: Path, service: HttpService, id: str, reason: Reason | None
) -> None:
    """The route has answered, so there is nothing to prove; and nothing of the other person is kept."""
    service.on("GET", f"/users/{USER}", Reply(body={"id": id, "email": "bob@example.com"}))
    service.on("GET", AUTHOR, Reply())
    async with opened(tmp_path, service, lookup={"absent_when": "body.id != user_id"}) as case:
        assert (await case.check()).refused is reason
        assert (await case.check(again=True)).refused is reason
        start = await case.ledger.begin_step(retirement_id=case.retirement_id, step="author", action="do")
        assert start.values is not None
        assert ("bob@example.com" in str(start.values)) is (reason is None)
        assert len(service.calls("GET", f"/users/{USER}")) == 2


async def test_an_answer_that_says_not_whom_it_is_about_is_asked_for_again(
    tmp_path: Path, service: HttpService
) -> None:
    service.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
    async with opened(tmp_path, service, lookup={"absent_when": "body.id != user_id"}) as case:
        assert (await refused(case.check(), kind=TRY_AGAIN)).code == "value_missing"


async def test_a_lookup_at_a_wrong_address_finds_nobody_missing(tmp_path: Path, service: HttpService) -> None:
    async with opened(tmp_path, service) as case:
        checked = await case.check()
        assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "route_unproven")


async def test_a_probe_that_fails_for_good_is_told_by_its_step(tmp_path: Path, service: HttpService) -> None:
    service.on("GET", f"/users/{USER}", Reply(body={"email": "a@example.com"}))
    service.on("GET", AUTHOR, Reply(status=405))
    async with opened(tmp_path, service) as case:
        checked = await case.check()
        assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "author:http_405")


async def test_a_value_that_is_missing_is_waited_for_and_then_refused(tmp_path: Path, service: HttpService) -> None:
    service.on("GET", f"/users/{USER}", Reply(body={}))
    async with opened(tmp_path, service, lookup={"patience": "5s"}) as case:
        for attempt in range(1, 5):
            case.attempt, case.clock = attempt, START + attempt * DAY
            assert (await refused(case.check(), kind=TRY_AGAIN)).code == "value_missing"
        case.attempt, case.clock = 5, START + 5 * DAY
        checked = await case.check()
        assert (checked.refused, checked.code) == (Reason.LOOKUP_FAILED, "value_missing")


async def test_the_re_check_only_asks_for_the_person(tmp_path: Path, service: HttpService) -> None:
    service.on("GET", f"/users/{USER}", Reply(body={"email": "a@example.com"}), Reply(status=404))
    service.on("GET", AUTHOR, Reply())
    async with opened(tmp_path, service) as case:
        await case.check()
        probed = len(service.calls("GET", AUTHOR))
        # The route has answered before: this 404 is about the person.
        assert (await case.check(again=True)).refused is Reason.NO_SUCH_SUBJECT
        assert len(service.calls("GET", AUTHOR)) == probed


async def test_a_refused_key_is_held(tmp_path: Path, service: HttpService) -> None:
    service.on("GET", f"/users/{USER}", Reply(status=401))
    async with opened(tmp_path, service) as case:
        failure = await refused(case.check(), kind=STEP_HELD)
        assert (failure.code, failure.held) == ("http_401", HeldCause.CREDENTIALS)
