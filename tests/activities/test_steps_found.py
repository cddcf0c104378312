"""Steps that ask first by which id the service knows the person, and steps whose 2xx isn't believed as it stands."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from activities.errors import STEP_FAILED, STEP_HELD, TRY_AGAIN
from ledger import schema
from tests.support.forum_steps import guarded
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.step_case import START, USER, StepCase, refused, step_case
from workflows.messages import StepOutcome
from workflows.names import StepResult

SEARCH = "/contacts?email=ada%40example.com"
DAY = timedelta(days=1)


class Crm:
    """Knows contacts by numbers of its own. A `lost` deletion is done, and its answer never comes."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.contacts = [17]
        self.lost = 0
        service.otherwise(self._answer)
        service.on("GET", SEARCH, self._search)

    def _search(self, received: Received) -> Reply:
        if "authorization" not in received.headers:
            return Reply(status=401)
        return Reply(body={"vid": self.contacts[0]}) if self.contacts else Reply(status=404)

    def _answer(self, received: Received) -> Reply:
        if received.method != "DELETE" or "authorization" not in received.headers:
            return Reply(status=401)
        vid = int(received.target.rpartition("/")[2])
        if vid not in self.contacts:
            return Reply(status=404)
        self.contacts.remove(vid)
        if self.lost:
            self.lost -= 1
            return Reply(after=20)
        return Reply(status=204)

    @property
    def searched(self) -> int:
        """How often somebody was looked for, by us."""
        return len([each for each in self.service.calls("GET", SEARCH) if "authorization" in each.headers])

    @property
    def deleted(self) -> list[str]:
        """What deletions were asked for."""
        return [each.target for each in self.service.calls("DELETE") if "authorization" in each.headers]


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    async with http_service() as service:
        yield Crm(service)


def a_plan(crm: Crm, *, within: str = "5s", **overrides: Any) -> dict[str, Any]:
    """A contact that is looked for by mail address, and deleted by its number."""
    find = {
        "request": {"method": "GET", "path": "/contacts", "query": {"email": "{{ subject.email }}"}},
        "save": {"vid": "body.vid"},
        "absent": [404],
        **overrides.pop("find", {}),
    }
    contact = {
        "phase": "erase",
        "service": "crm",
        "find": find,
        "request": {"method": "DELETE", "path": "/contacts/{{ saved.contact.vid }}"},
        "absent": [404],
        "unprobed": "nobody can tell",
        **overrides,
    }
    lookup = {
        "service": "crm",
        "request": {"method": "GET", "path": "/users/{{ user_id }}"},
        "fields": {"email": "body.email"},
    }
    return {
        "plan": "test",
        "subject": {"lookup": lookup},
        "services": {
            "crm": {"base_url": crm.service.url, "auth": {"type": "bearer", "token": "t-1"}, "timeout": within}
        },
        "steps": {"contact": contact},
    }


async def begun(case: StepCase, crm: Crm) -> None:
    """The person has been looked up, and the point of no return is passed."""
    crm.service.on("GET", f"/users/{USER}", Reply(body={"email": "ada@example.com"}))
    await case.check()
    await case.pass_point()


async def not_yet(case: StepCase) -> str:
    code = (await refused(case.run("contact"), kind=TRY_AGAIN)).code
    case.attempt += 1
    return code


async def test_the_request_is_made_by_what_was_found(tmp_path: Path, crm: Crm) -> None:
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)
        outcome = await case.run("contact")
        assert (outcome.result, outcome.code) == (StepResult.UNVERIFIED, "no_probe")
        assert outcome.detail == "DELETE /contacts/{{ saved.contact.vid }} → 204"
        assert crm.deleted == ["/contacts/17"] and crm.contacts == []
        assert "idempotency-key" not in crm.service.calls("GET", SEARCH)[0].headers
        assert (await case.saved("contact"))["vid"] == 17


async def test_whom_the_service_does_not_know_is_absent_once_the_route_is_proved(tmp_path: Path, crm: Crm) -> None:
    crm.contacts.clear()
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)
        outcome = await case.run("contact")
        assert (outcome.result, outcome.detail) == (StepResult.ABSENT, "GET /contacts → 404")
        assert crm.deleted == []


async def test_a_search_at_a_wrong_address_finds_nobody_absent(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("GET", SEARCH, Reply(status=404))
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)
        assert (await refused(case.run("contact"), kind=STEP_FAILED)).code == "route_unproven"
        assert crm.deleted == []


async def test_a_404_that_means_nothing_is_an_error(tmp_path: Path, crm: Crm) -> None:
    crm.contacts.clear()
    async with step_case(tmp_path, a_plan(crm, find={"absent": []})) as case:
        await begun(case, crm)
        assert (await refused(case.run("contact"), kind=STEP_FAILED)).code == "http_404"


async def test_a_deletion_whose_answer_was_lost_is_repeated_for_the_same_contact(tmp_path: Path, crm: Crm) -> None:
    """Asking again would find nobody, or somebody else who came meanwhile."""
    crm.lost = 1
    async with step_case(tmp_path, a_plan(crm, within="1s")) as case:
        await begun(case, crm)
        assert await not_yet(case) == "timeout"
        crm.contacts = [18]
        outcome = await case.run("contact")
        assert (outcome.result, outcome.detail) == (
            StepResult.ABSENT,
            "DELETE /contacts/{{ saved.contact.vid }} → 404",
        )
        assert crm.searched == 1 and crm.deleted == ["/contacts/17"] * 2 and crm.contacts == [18]


async def test_what_was_found_is_kept_before_anything_is_done_with_it(tmp_path: Path, crm: Crm) -> None:
    kept: list[dict[str, Any]] = []
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)

        async def look(received: Received) -> Reply:
            kept.append(await case.saved("contact"))
            return Reply(status=204)

        crm.service.on("DELETE", "/contacts/17", look)
        await case.run("contact")
    assert [each["vid"] for each in kept] == [17]


async def test_a_search_that_fails_is_asked_again_and_has_touched_nothing(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("GET", SEARCH, Reply(after=20), Reply(status=503), Reply(body={}), crm._search)
    async with step_case(tmp_path, a_plan(crm, within="1s", timeout="5s", longest_timeout="1m")) as case:
        await begun(case, crm)
        assert [await not_yet(case) for _ in range(3)] == ["timeout", "http_503", "value_missing"]
        row = await case.row("contact")
        assert (row.failures, row.touched, row.timeouts) == (3, False, 0) and crm.deleted == []
        assert (await case.run("contact")).result is StepResult.UNVERIFIED


async def test_a_search_that_is_refused_is_held_or_fails_like_a_request(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("GET", SEARCH, Reply(status=403), Reply(status=400))
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)
        assert (await refused(case.run("contact"), kind=STEP_HELD)).code == "http_403"
        assert (await refused(case.run("contact"), kind=STEP_FAILED)).code == "http_400"
        assert not (await case.row("contact")).touched


async def test_after_a_lie_the_person_is_looked_for_anew(tmp_path: Path, crm: Crm) -> None:
    """They may have been written back under another number, which the probe sees and the old number doesn't reach."""
    crm.contacts = [17, 18]
    probe = {"request": {"method": "GET", "path": "/contacts", "query": {"email": "{{ subject.email }}"}}}
    async with step_case(tmp_path, a_plan(crm, probe=probe)) as case:
        await begun(case, crm)
        assert await not_yet(case) == "still_present"
        assert (await case.run("contact", present=True)).result is StepResult.ERASED
        assert crm.deleted == ["/contacts/17", "/contacts/18"]


async def test_what_is_found_is_named_in_no_error_and_no_record(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("DELETE", "/contacts/17", Reply(status=400, raw=b"contact 17 is ada@example.com"))
    async with step_case(tmp_path, a_plan(crm)) as case:
        await begun(case, crm)
        failure = await refused(case.run("contact"), kind=STEP_FAILED)
        told = f"{failure!r}{await case.row('contact')!r}{await case.ledger.outcomes(case.retirement_id)!r}"
        assert "http_400" in told and "17" not in told.replace(case.retirement_id, "") and "ada@" not in told


def with_done_when(crm: Crm, **overrides: Any) -> dict[str, Any]:
    """A deletion whose answer says of each part whether it is gone."""
    plan = a_plan(crm, done_when="body.results.values() | select('false') | list == []", **overrides)
    del plan["steps"]["contact"]["find"]
    plan["steps"]["contact"]["request"] = {"method": "POST", "path": "/backends/{{ user_id }}"}
    return plan


async def done(case: StepCase) -> StepOutcome:
    return await case.run("contact")


async def test_a_2xx_is_done_only_where_the_answer_says_so(tmp_path: Path, crm: Crm) -> None:
    backends = f"/backends/{USER}"
    answers = [{"results": {"a": True, "b": False}}, {"other": 1}, {"results": {"a": True, "b": True}}]
    crm.service.on("POST", backends, *(Reply(body=answer) for answer in answers))
    async with step_case(tmp_path, with_done_when(crm)) as case:
        await begun(case, crm)
        assert [await not_yet(case) for _ in range(2)] == ["not_done", "value_missing"]
        row = await case.row("contact")
        assert (row.failures, row.touched, row.lies) == (2, True, 0)
        assert (await done(case)).result is StepResult.UNVERIFIED
        keys = {each.headers["idempotency-key"] for each in crm.service.calls("POST", backends)}
        assert keys == {f"{case.retirement_id}:contact"}


async def test_what_is_never_done_fails_when_patience_is_over(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("POST", f"/backends/{USER}", Reply(body={"results": {"a": False}}))
    async with step_case(tmp_path, with_done_when(crm, patience="5s")) as case:
        await begun(case, crm)
        for attempt in range(1, 5):
            case.clock = START + attempt * DAY
            assert await not_yet(case) == "not_done"
        case.clock = START + 5 * DAY
        failure = await refused(case.run("contact"), kind=STEP_FAILED)
        assert (failure.code, failure.detail) == ("not_done", "POST /backends/{{ user_id }} → 200")


async def test_only_a_2xx_is_looked_into(tmp_path: Path, crm: Crm) -> None:
    crm.service.on("POST", f"/backends/{USER}", guarded(404))
    async with step_case(tmp_path, with_done_when(crm)) as case:
        await begun(case, crm)
        assert (await done(case)).result is StepResult.ABSENT


@pytest.mark.parametrize("asks", ["find", "done_when"])
async def test_without_the_vault_s_entry_nothing_is_asked(tmp_path: Path, crm: Crm, asks: str) -> None:
    """What is named by then can't be known, and nothing found could be kept."""
    plan = a_plan(crm) if asks == "find" else with_done_when(crm)
    contact = plan["steps"]["contact"]
    contact |= {"request": {"method": "DELETE", "path": "/contacts/{{ user_id }}"}}
    if asks == "done_when":
        contact["done_when"] = "body.erased == subject.email"
    async with step_case(tmp_path, plan) as case:
        await begun(case, crm)
        with case.ledger._database.engine.begin() as connection:
            for table in (schema.vault_fields, schema.vault_holders, schema.vault):
                connection.execute(delete(table))
        before = len(crm.service.received)
        assert (await refused(case.run("contact"), kind=STEP_HELD)).code == "vault_missing"
        assert len(crm.service.received) == before
