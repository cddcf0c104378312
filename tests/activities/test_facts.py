"""Facts: asked of a real service, page by page, and known only as a whole."""

import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.actions.action import Call
from activities.actions.answers import Held, Permanent, Transient
from activities.actions.dispatch import Actions
from activities.errors import STEP_HELD, TRY_AGAIN
from activities.facts import Known, Unknown, find_out
from ledger.rows import StepAction, no_values
from plans.model import Fact
from plans.services import BearerAuth, HttpService
from tests.support import http_service as servers
from tests.support.http_service import Received, Reply, http_service
from tests.support.ledgers import a_case
from tests.support.step_case import USER, StepCase, failure_of, step_case
from workflows.messages import CheckedSubject
from workflows.names import Outcome, Reason

ADMINS = "/orgs/o-7/admins"
PATH = "/orgs/{{ subject.org }}/admins"
ADA, BOB, EVE = ({"id": id} for id in ("ada", "bob", "eve"))


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[servers.HttpService]:
    async with http_service() as service:
        yield service


@pytest.fixture
def directory(server: servers.HttpService) -> servers.HttpService:
    """One server for all tests: each finds it as new."""
    server.forget()
    return server


@pytest.fixture
async def actions() -> AsyncIterator[Actions]:
    actions = Actions(version="0.test")
    yield actions
    await actions.close()


def guarded(reply: Reply) -> Callable[[Received], Reply]:
    """A route that exists: strangers are refused before anything is looked for."""
    return lambda received: reply if "authorization" in received.headers else Reply(status=401)


def a_page(*items: Any, next: Any = None) -> Reply:
    return Reply(body={"items": list(items), "next": next})


async def known(actions: Actions, directory: servers.HttpService, **fact: Any) -> Known | Unknown:
    """Ask for a fact once; by default for a paged list."""
    values: dict[str, Any] = {
        "service": "directory",
        "request": {"method": "GET", "path": PATH},
        "items": "body.items",
        "next_page": "body.next",
    } | fact
    asked = Fact.model_validate({name: value for name, value in values.items() if value is not None})
    service = HttpService(base_url=directory.url, auth=BearerAuth(token="t-1"), timeout=timedelta(seconds=2))
    call = Call(service=service, request=asked.request, context={"user_id": USER, "subject": {"org": "o-7"}})
    return await find_out(actions, call=call, fact=asked)


# --- what is found -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "third"),
    [
        ("?page=2", "?page=3"),
        (f"{ADMINS}?page=2", f"{ADMINS}?page=3"),
        ("{url}" + ADMINS + "?page=2", "{url}" + ADMINS + "?page=3"),
        ("admins?page=2", f"../o-7{ADMINS.removeprefix('/orgs/o-7')}?page=3"),
    ],
    ids=["query", "path", "absolute", "relative"],
)
async def test_a_list_is_read_over_all_its_pages(
    actions: Actions, directory: servers.HttpService, second: str, third: str
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next=second.format(url=directory.url)))
    directory.on("GET", f"{ADMINS}?page=2", a_page(BOB, next=third.format(url=directory.url)))
    directory.on("GET", f"{ADMINS}?page=3", a_page(EVE))
    assert await known(actions, directory) == Known(value=[ADA, BOB, EVE], pages=3)
    assert {received.headers["authorization"] for received in directory.received} == {"Bearer t-1"}
    assert len(directory.received) == 3


@pytest.mark.parametrize("last", [None, "", False])
async def test_the_last_page_says_so_by_an_empty_next(
    actions: Actions, directory: servers.HttpService, last: Any
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next=last))
    assert await known(actions, directory) == Known(value=[ADA])


async def test_a_list_without_pages_and_an_empty_one(actions: Actions, directory: servers.HttpService) -> None:
    directory.on("GET", ADMINS, Reply(body={"items": [ADA, BOB]}), Reply(body={"items": []}))
    assert await known(actions, directory, next_page=None) == Known(value=[ADA, BOB])
    assert await known(actions, directory, next_page=None) == Known(value=[])


@pytest.mark.parametrize(
    ("value", "found"),
    [("body.owners", 3), ("body.owners > 2", True), (None, {"owners": 3, "name": None}), ("body.name", None)],
)
async def test_a_value_keeps_its_type(
    actions: Actions, directory: servers.HttpService, value: str | None, found: Any
) -> None:
    directory.on("GET", ADMINS, Reply(body={"owners": 3, "name": None}))
    assert await known(actions, directory, items=None, next_page=None, value=value) == Known(value=found)


async def test_a_link_header_names_the_next_page(actions: Actions, directory: servers.HttpService) -> None:
    """RFC 8288, as an expression of the plan."""
    directory.on("GET", ADMINS, Reply(body=[ADA], headers={"link": f'<{directory.url}{ADMINS}?page=2>; rel="next"'}))
    directory.on("GET", f"{ADMINS}?page=2", Reply(body=[BOB], headers={"link": f'<{ADMINS}>; rel="first"'}))
    next_page = """headers.link.split('>')[0][1:] if 'rel="next"' in headers.link else none"""
    assert await known(actions, directory, items="body", next_page=next_page) == Known(value=[ADA, BOB], pages=2)


async def test_ten_thousand_over_a_hundred_pages_cost_seconds_and_few_megabytes(
    actions: Actions, directory: servers.HttpService
) -> None:
    def page(received: Received) -> Reply:
        number = int(received.target.rpartition("=")[2]) if "=" in received.target else 1
        people = [
            {"id": f"u-{number:03}-{n:02}", "name": f"Person {n}", "email": f"p{n}@x.example"} for n in range(100)
        ]
        return a_page(*people, next=f"?page={number + 1}" if number < 100 else None)

    directory.otherwise(page)
    began = time.monotonic()
    tracemalloc.start()
    try:
        found = await known(actions, directory)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(found, Known) and found.pages == 100
    assert len({person["id"] for person in found.value}) == 10_000
    assert peak < 30_000_000, f"{peak:,} bytes"
    assert time.monotonic() - began < 20
    assert found.value[0]["name"] not in repr(found)


# --- what isn't ----------------------------------------------------------------------------------------------------------


async def test_pages_in_a_circle_are_noticed(actions: Actions, directory: servers.HttpService) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next="?page=2"))
    directory.on("GET", f"{ADMINS}?page=2", a_page(BOB, next="?page=3"))
    directory.on("GET", f"{ADMINS}?page=3", a_page(EVE, next="?page=2"))
    found = await known(actions, directory)
    assert isinstance(found, Unknown) and found.trouble == Permanent(code="pages_in_a_circle")
    assert len(directory.received) < 10


async def test_pages_without_an_end_end(actions: Actions, directory: servers.HttpService) -> None:
    def page(received: Received) -> Reply:
        return Reply(body={"items": [ADA] * 1000, "next": f"{ADMINS}?page={len(directory.received)}"})

    directory.otherwise(page)
    found = await known(actions, directory)
    assert isinstance(found, Unknown) and found.trouble == Permanent(code="too_many_items")
    assert len(directory.received) == 101


@pytest.mark.parametrize(
    "foreign",
    [
        "http://elsewhere.example/admins",
        "//elsewhere.example/admins",
        "http://127.0.0.1:1/admins",
        "ftp://127.0.0.1/x",
        7,
        ["/x"],
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(
    actions: Actions, directory: servers.HttpService, foreign: Any
) -> None:
    """Whoever could make a service name another one would be sent our credentials."""
    directory.on("GET", ADMINS, a_page(ADA, next=foreign))
    found = await known(actions, directory)
    assert isinstance(found, Unknown) and found.trouble == Permanent(code="next_page_foreign")
    assert len(directory.received) == 1


@pytest.mark.parametrize("items", [{"ada": 1}, "ada", None, 3])
async def test_items_have_to_be_a_list(actions: Actions, directory: servers.HttpService, items: Any) -> None:
    directory.on("GET", ADMINS, Reply(body={"items": items, "next": None}))
    found = await known(actions, directory)
    assert found == Unknown(trouble=Permanent(code="items_no_list"), detail=f"GET {PATH} → 200")


@pytest.mark.parametrize("page", [Reply(body={"error": "busy"}), Reply(raw=b"<html>busy</html>"), Reply(body=[])])
@pytest.mark.parametrize("fact", [{}, {"items": None, "next_page": None, "value": "body.owners"}])
async def test_an_answer_without_what_is_asked_for_may_pass(
    actions: Actions, directory: servers.HttpService, page: Reply, fact: dict[str, Any]
) -> None:
    directory.on("GET", ADMINS, page)
    found = await known(actions, directory, **fact)
    assert isinstance(found, Unknown) and isinstance(found.trouble, Transient)
    assert found.trouble.code == "value_missing"


async def test_a_page_without_next_is_not_taken_for_the_last(actions: Actions, directory: servers.HttpService) -> None:
    """A misspelt expression would otherwise make the first page the whole list, and an admin the last one."""
    directory.on("GET", ADMINS, Reply(body={"items": [ADA], "following": "?page=2"}))
    found = await known(actions, directory)
    assert isinstance(found, Unknown) and found.trouble == Transient(code="value_missing", touched=False)
    optional = await known(actions, directory, next_page="body.next | default(none)")
    assert optional == Known(value=[ADA]), "where the service leaves it out, the plan says so"


@pytest.mark.parametrize(
    ("answers", "absent", "expected"),
    [
        (Reply(status=404), (), Permanent(code="http_404")),
        (Reply(status=403), (404,), Held),
        (guarded(Reply(status=404)), (404,), []),
        (guarded(Reply(status=204)), (404,), Transient),
        (guarded(Reply(status=409)), (404, 409), []),
        (Reply(status=404), (404,), Permanent(code="route_unproven")),
    ],
)
async def test_absent_means_none_where_the_plan_says_so_and_the_address_is_right(
    actions: Actions, directory: servers.HttpService, answers: Any, absent: tuple[int, ...], expected: Any
) -> None:
    directory.on("GET", ADMINS, answers)
    found = await known(actions, directory, absent=absent)
    if isinstance(expected, list):
        assert found == Known(value=expected)
        no_list = await known(actions, directory, absent=absent, items=None, next_page=None, value="body")
        assert no_list == Known(value=None)
    elif isinstance(expected, type):
        assert isinstance(found, Unknown) and isinstance(found.trouble, expected)
    else:
        assert isinstance(found, Unknown) and found.trouble == expected


async def test_a_route_that_can_not_be_asked_about_now_is_asked_about_later(
    actions: Actions, directory: servers.HttpService
) -> None:
    def busy_for_strangers(received: Received) -> Reply:
        return Reply(status=404 if "authorization" in received.headers else 503)

    directory.on("GET", ADMINS, busy_for_strangers)
    found = await known(actions, directory, absent=(404,))
    assert isinstance(found, Unknown) and found.trouble == Transient(code="route_check_failed", touched=False)


async def test_absent_on_a_later_page_is_no_end_of_the_list(actions: Actions, directory: servers.HttpService) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next="?page=2"))
    directory.on("GET", f"{ADMINS}?page=2", guarded(Reply(status=404)))
    found = await known(actions, directory, absent=(404,))
    assert found == Unknown(trouble=Permanent(code="http_404"), detail=f"GET {PATH} → 404, page 2")


async def test_a_request_that_can_not_be_made_is_told(actions: Actions, directory: servers.HttpService) -> None:
    request = {"method": "GET", "path": "/orgs/{{ subject.department }}"}
    found = await known(actions, directory, request=request)
    assert found == Unknown(trouble=Permanent(code="value_missing"), detail="GET /orgs/{{ subject.department }}")
    assert directory.received == []


# --- as the check asks them ----------------------------------------------------------------------------------------------


def a_plan(directory: servers.HttpService, **overrides: Any) -> dict[str, Any]:
    """Whoever is the last admin may not go."""
    fact = {"service": "directory", "request": {"method": "GET", "path": PATH}, "items": "body.items"}
    fact |= {"next_page": "body.next", "patience": "1h"} | overrides.pop("fact", {})
    return {
        "plan": "test",
        "subject": {
            "lookup": {
                "service": "directory",
                "request": {"method": "GET", "path": "/users/{{ user_id }}"},
                "fields": {"org": "body.org", "email": "body.email"},
                "patience": "1m",
            }
        },
        "facts": {"admins": fact},
        "eligibility": [{"refuse_if": "facts.admins | length == 1", "code": "sole_admin"}],
        "services": {"directory": {"base_url": directory.url, "auth": {"type": "bearer", "token": "t-1"}}},
        "steps": {"invoices": {"phase": "erase", "retain": {"ground": "tax law", "for": "30d"}}},
        **overrides,
    }


async def checked(case: StepCase, *, again: bool = False) -> tuple[Reason | None, str | None]:
    found: CheckedSubject = await case.check(again=again)
    return found.refused, found.code


@pytest.fixture
def person(directory: servers.HttpService) -> None:
    directory.on("GET", f"/users/{USER}", Reply(body={"org": "o-7", "email": "ada@person.example"}))


async def test_a_page_that_fails_is_tried_again_with_the_patience_of_the_fact(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next="?page=2"))
    directory.on("GET", f"{ADMINS}?page=2", Reply(status=500))
    async with step_case(tmp_path, a_plan(directory)) as case:
        began = case.clock
        for attempt in range(1, 100):
            case.attempt = attempt
            try:
                ended = await checked(case)
                break
            except ApplicationError as error:
                assert error.type == TRY_AGAIN and error.next_retry_delay is not None
                failure = failure_of(error)
                assert (failure.code, failure.step) == ("http_500", "facts.admins")
                assert failure.detail == f"GET {PATH} → 500, page 2"
                case.clock += max(error.next_retry_delay, timedelta(minutes=1))
        assert ended == (Reason.LOOKUP_FAILED, "facts.admins:http_500")
        assert attempt > 5, "an hour of patience, not the lookup's minute"
        assert timedelta(hours=1) <= case.clock - began < timedelta(hours=2)
        row = await case.row("subject.lookup")
        assert (row.failures, row.last_code, row.touched) == (attempt, "http_500", False)


async def test_a_service_that_comes_back_is_believed(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, next="?page=2"))
    directory.on("GET", f"{ADMINS}?page=2", Reply(status=503), a_page(BOB))
    async with step_case(tmp_path, a_plan(directory)) as case:
        with pytest.raises(ApplicationError):
            await case.check()
        assert await checked(case) == (None, None)
        assert len(directory.calls("GET", ADMINS)) == 2, "asked again from the first page"


async def test_a_fact_named_like_a_step_has_its_own_patience(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, BOB))
    directory.on("GET", "/probe", Reply(status=503))
    probe = {"request": {"method": "GET", "path": "/probe"}}
    step = {"phase": "erase", "service": "directory", "request": {"method": "DELETE", "path": "/x"}, "probe": probe}
    async with step_case(tmp_path, a_plan(directory, steps={"admins": step})) as case:
        for attempt in range(1, 6):
            case.attempt = attempt
            case.clock += timedelta(minutes=2)
            if attempt < 5:
                with pytest.raises(ApplicationError):
                    await case.check()
        assert await checked(case) == (Reason.LOOKUP_FAILED, "admins:http_503"), "the lookup's minute is over"


async def test_refused_credentials_hold_the_check(tmp_path: Path, directory: servers.HttpService, person: None) -> None:
    directory.on("GET", ADMINS, Reply(status=401))
    async with step_case(tmp_path, a_plan(directory)) as case:
        with pytest.raises(ApplicationError) as caught:
            await case.check()
        assert (caught.value.type, failure_of(caught.value).held) == (STEP_HELD, "credentials")


async def test_what_was_asked_is_kept_by_nobody_and_told_by_nobody(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    directory.on("GET", ADMINS, a_page({"id": "bob", "name": "Bob Babbage"}))
    async with step_case(tmp_path, a_plan(directory)) as case:
        answer = await case.check()
        assert (answer.refused, answer.code) == (Reason.NOT_ELIGIBLE, "sole_admin")
        begun = await case.ledger.begin_step(
            retirement_id=case.retirement_id, step="subject.lookup", action=StepAction.DO
        )
        assert begun.values is not None
        assert dict(begun.values) == {
            **no_values(),
            "subject": {"org": "o-7", "email": "ada@person.example"},
            "saved": {},
        }
        assert "Babbage" not in answer.model_dump_json()


async def test_whoever_is_refused_at_the_first_look_can_be_written_to_and_was_not_looked_for(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    """The address is in the vault; that no probe was asked stays known, should another run take the case up."""
    directory.on("GET", ADMINS, a_page(ADA), Reply(status=422), a_page(ADA, BOB))
    async with step_case(tmp_path, a_plan(directory)) as case:
        for expected in ((Reason.NOT_ELIGIBLE, "sole_admin"), (Reason.LOOKUP_FAILED, "facts.admins:http_422")):
            assert await checked(case) == expected
            found = await case.ledger.case(case.retirement_id)
            assert found is not None and found.present is None
        assert await checked(case) == (None, None)
        found = await case.ledger.case(case.retirement_id)
        assert found is not None and found.present == ()


async def test_the_recheck_asks_the_facts_again_and_keeps_what_the_first_look_found(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, BOB), a_page(ADA))
    async with step_case(tmp_path, a_plan(directory)) as case:
        assert await checked(case) == (None, None)
        directory.on("GET", f"/users/{USER}", Reply(body={"org": "o-7", "email": "changed@person.example"}))
        assert await checked(case, again=True) == (Reason.NOT_ELIGIBLE, "sole_admin")
        begun = await case.ledger.begin_step(
            retirement_id=case.retirement_id, step="subject.recheck", action=StepAction.DO
        )
        assert begun.values is not None and begun.values["subject"]["email"] == "ada@person.example"


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (
            {"eligibility": [{"refuse_if": "facts.admins[0].age > 1", "code": "minor"}]},
            "eligibility.minor:value_missing",
        ),
        ({"eligibility": [{"refuse_if": "facts.admins / 2", "code": "odd"}]}, "eligibility.odd:bad_template"),
        ({"claims": ["org:{{ subject.department }}"]}, "claims:value_missing"),
        ({"claims": [{"key": "org", "when": "subject.department == 'x'"}]}, "claims:value_missing"),
    ],
)
async def test_a_rule_that_can_not_be_worked_out_refuses_by_its_name(
    tmp_path: Path, directory: servers.HttpService, person: None, overrides: dict[str, Any], code: str
) -> None:
    directory.on("GET", ADMINS, a_page(ADA, BOB))
    async with step_case(tmp_path, a_plan(directory, **overrides)) as case:
        assert await checked(case) == (Reason.LOOKUP_FAILED, code)


async def test_claims_are_looked_at_before_the_facts(
    tmp_path: Path, directory: servers.HttpService, person: None
) -> None:
    """Whoever takes it while the facts are being asked has changed what they say."""
    async with step_case(tmp_path, a_plan(directory, claims=["org:{{ subject.org }}"])) as case:
        ledger, now = case.ledger, case.clock
        bob = await a_case(ledger, user_id="bob-18", run_key="run-2", plan=await ledger.stored_plan(case.digest))

        async def overtaken(_: Received) -> Reply:
            rid = bob.retirement_id
            wanted = await ledger.claim_versions(tenant=None, wanted=("org:o-7",))
            await ledger.store_claims(retirement_id=rid, claims=wanted)
            assert (await ledger.move(retirement_id=rid, from_state="open", to_state="past_return", now=now)).moved
            await ledger.close_case(
                retirement_id=rid, outcome=Outcome.COMPLETE, reason=None, direction=None, now=now, messages=()
            )
            return a_page(ADA, BOB)

        directory.on("GET", ADMINS, overtaken)
        assert await checked(case) == (None, None)
        moved = await ledger.move(retirement_id=case.retirement_id, from_state="open", to_state="past_return", now=now)
        assert moved.claim_lost
