"""The LMS as operators' commands ask it: what goes over the wire, and what becomes of every kind of answer."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from openedx.lms import Lms, LmsMoved, LmsNotLetIn, LmsRefused, LmsUnreachable
from openedx.row import Unreadable, read_row, read_rows
from sandbox.lms.client import StandInLms
from tests.openedx.sites import a_row, asking

_ACCOUNTS = "/api/user/v1/accounts"
_LONG_AGO = datetime.now(UTC) - timedelta(days=20)


@pytest.fixture
async def asked(lms: StandInLms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lms]:
    """The stand-in, asked as commands do."""
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", lms.settings().client_secret)
    async with asking(lms, folder=tmp_path) as asked:
        yield asked


async def test_a_row_is_read_and_its_repr_tells_nobody(lms: StandInLms, asked: Lms) -> None:
    told = lms.add_learner("Zoë Q", "zoe@example.org", "Zoë Quill", created=_LONG_AGO, state="RETIRING_LMS")
    row = await asked.status("Zoë Q")
    assert row is not None
    assert (row.id, row.user_id, row.username) == (told["id"], told["user"]["id"], "Zoë Q")
    assert (row.state, row.last_state, row.created) == ("RETIRING_LMS", "PENDING", _LONG_AGO)
    assert row.current == {name: value for name, value in told.items() if name != "responses"}
    for value in ("Zoë", "zoe", "Quill", str(row.user_id), "retired__user"):
        assert value not in repr(row)
    assert f"id={row.id}" in repr(row)


async def test_every_request_has_the_token_and_the_content_type_of_the_lms(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("Ann B", created=_LONG_AGO, state="COMPLETE")
    await asked.status("Ann B")
    await asked.queue(cool_off_days=7, states=["PENDING", "LMS_COMPLETE"], limit=301)
    await asked.by_status_and_date(state="COMPLETE", start=date(2026, 1, 1), end=date(2026, 1, 31))
    await asked.update(username="Ann B", state="COMPLETE", note="why", force=True)
    await asked.cleanup(["Ann B"])
    await asked.partner_queue()
    seen = [request for request in lms.requests() if request.route != "token"]
    assert [(request.method, request.path, request.query, request.body) for request in seen] == [
        ("GET", f"{_ACCOUNTS}/Ann%20B/retirement_status/", "", ""),
        ("GET", f"{_ACCOUNTS}/retirement_queue/", "cool_off_days=7&states=PENDING&states=LMS_COMPLETE&limit=301", ""),
        (
            "GET",
            f"{_ACCOUNTS}/retirements_by_status_and_date/",
            "start_date=2026-01-01&end_date=2026-01-31&state=COMPLETE",
            "",
        ),
        (
            "PATCH",
            f"{_ACCOUNTS}/update_retirement_status/",
            "",
            '{"username": "Ann B", "new_state": "COMPLETE", "response": "why", "force": true}',
        ),
        ("POST", f"{_ACCOUNTS}/retirement_cleanup/", "", '{"usernames": ["Ann B"]}'),
        ("POST", f"{_ACCOUNTS}/retirement_partner_report/", "", ""),
    ]
    assert all(request.headers["authorization"].startswith("JWT ") for request in seen)
    assert {request.headers["content-type"] for request in seen} == {"application/json"}
    assert len(lms.requests(route="token")) == 1


async def test_the_content_type_is_sent_even_where_the_plan_forgot_it(
    lms: StandInLms, asked: Lms, tmp_path: Path
) -> None:
    async with asking(lms, folder=tmp_path, headers={}) as bare:
        assert await bare.queue(cool_off_days=7, states=["PENDING"]) == []
    [request] = lms.requests(route="queue")
    assert request.headers["content-type"] == "application/json"


async def test_a_name_that_looks_like_a_template_or_a_path_is_data(lms: StandInLms, asked: Lms) -> None:
    for name in ("{{ state }}", "a/b", "${env:HOME}", "a?b=c"):
        lms.add_learner(name, created=_LONG_AGO)
        row = await asked.status(name)
        assert row is not None and row.username == name


async def test_nobody_is_none(asked: Lms) -> None:
    assert await asked.status("nobody") is None


async def test_a_missing_route_says_nothing_about_anybody(lms: StandInLms, asked: Lms) -> None:
    lms.set(missing_routes=["status"])
    with pytest.raises(LmsRefused, match="no such route"):
        await asked.status("nobody")


async def test_partners_are_cleaned_up_by_a_bare_list(lms: StandInLms, asked: Lms) -> None:
    with pytest.raises(LmsRefused) as refused:
        await asked.partner_cleanup(["Ann B", "cy"])
    assert refused.value.status == 400
    [request] = lms.requests(route="partner_cleanup")
    assert request.json == [{"original_username": "Ann B"}, {"original_username": "cy"}]


async def test_nobody_is_never_asked_for(lms: StandInLms, asked: Lms) -> None:
    for ask in (asked.cleanup, asked.partner_cleanup):
        with pytest.raises(ValueError, match="no usernames"):
            await ask([])
    assert lms.requests() == []


@pytest.mark.parametrize(("kind", "how"), [("status", {"status": 500}), ("drop", {}), ("status", {"status": 409})])
async def test_what_may_pass_is_tried_again(lms: StandInLms, asked: Lms, kind: str, how: dict[str, Any]) -> None:
    lms.add_learner("ann", created=_LONG_AGO)
    lms.misbehave(kind, route="queue", times=2, **how)
    assert [row.username for row in await asked.queue(cool_off_days=7, states=["PENDING"])] == ["ann"]


async def test_after_a_few_tries_it_counts_as_unreachable(lms: StandInLms, asked: Lms) -> None:
    lms.misbehave("status", route="queue", times=None, status=503)
    with pytest.raises(LmsUnreachable, match=r"retirement_queue/ \(http_503\)") as unreachable:
        await asked.queue(cool_off_days=7, states=["PENDING"])
    assert len(lms.requests(route="queue")) == 4
    assert "may have been done" not in str(unreachable.value)


async def test_whoever_wants_to_be_left_alone_for_long_is_not_waited_for(lms: StandInLms, asked: Lms) -> None:
    lms.misbehave("status", route="queue", times=None, status=429, headers={"Retry-After": "600"})
    with pytest.raises(LmsUnreachable, match="http_429"):
        await asked.queue(cool_off_days=7, states=["PENDING"])
    assert len(lms.requests(route="queue")) == 1


async def test_a_list_that_is_none_is_as_good_as_no_answer(lms: StandInLms, asked: Lms) -> None:
    lms.misbehave("other_answer", route="queue", times=1, status=200, body={"results": []})
    assert await asked.queue(cool_off_days=7, states=["PENDING"]) == []
    assert len(lms.requests(route="queue")) == 2


async def test_an_update_whose_answer_was_lost_is_not_sent_again(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann", created=_LONG_AGO, state="ERRORED")
    lms.misbehave("lost_answer", route="update")
    await asked.update(username="ann", state="PENDING", note="again", force=True, was="ERRORED")
    assert [request.route for request in lms.requests("ann")] == ["update", "status"]
    assert lms.state("ann") == "PENDING"


async def test_an_update_that_was_not_done_is_sent_again(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann", created=_LONG_AGO, state="ERRORED")
    lms.misbehave("drop", route="update")
    await asked.update(username="ann", state="PENDING", note="again", force=True, was="ERRORED")
    assert lms.state("ann") == "PENDING"
    assert [request.new_state for request in lms.requests("ann", route="update")][-1] == "PENDING"


async def test_whoever_was_moved_by_somebody_else_is_left_alone(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann", created=_LONG_AGO, state="ERRORED")
    lms.misbehave("drop", route="update")
    lms.misbehave("moved_before", route="status", state="RETIRING_LMS")
    with pytest.raises(LmsMoved, match="moved by somebody else"):
        await asked.update(username="ann", state="PENDING", note="again", force=True, was="ERRORED")
    assert lms.state("ann") == "RETIRING_LMS"


async def test_force_is_left_out_where_it_is_not_meant(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann", created=_LONG_AGO)
    await asked.update(username="ann", state="LOCKING_ACCOUNT", note="on")
    [request] = lms.requests("ann", route="update")
    assert request.json == {"username": "ann", "new_state": "LOCKING_ACCOUNT", "response": "on"}


async def test_partners_learners_are_not_asked_for_twice_where_they_may_be_marked(lms: StandInLms, asked: Lms) -> None:
    lms.misbehave("lost_answer", route="partner_report")
    with pytest.raises(LmsUnreachable, match="may have been done") as unreachable:
        await asked.partner_queue()
    assert unreachable.value.outcome_unknown
    assert len(lms.requests(route="partner_report")) == 1


async def test_a_list_of_many_learners_is_read_whole(lms: StandInLms, asked: Lms) -> None:
    many = [{"username": f"learner-{n}", "name": "N" * 200, "created": _LONG_AGO.isoformat()} for n in range(2_000)]
    lms.add_learners([{"email": f"{each['username']}@example.org", **each} for each in many])
    assert len(await asked.queue(cool_off_days=7, states=["PENDING"])) == 2_000


async def test_a_refused_service_account_is_told_as_such(lms: StandInLms, asked: Lms) -> None:
    lms.set(may_retire=False)
    with pytest.raises(LmsNotLetIn, match=r"accounts\.can_retire_user") as refused:
        await asked.queue(cool_off_days=7, states=["PENDING"])
    assert refused.value.code == "http_403"


async def test_a_wrong_secret_is_told_without_it(lms: StandInLms, asked: Lms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", "wrong-and-secret")
    with pytest.raises(LmsNotLetIn, match="client id and secret") as refused:
        await asked.status("ann")
    assert refused.value.code == "token_http_401"
    assert "wrong-and-secret" not in str(refused.value)
    assert [request.route for request in lms.requests()] == ["token"]


async def test_a_refused_token_is_renewed_once(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann", created=_LONG_AGO)
    assert await asked.status("ann") is not None
    lms.revoke_tokens()
    assert await asked.status("ann") is not None
    assert len(lms.requests(route="token")) == 2


async def test_no_error_names_anybody(lms: StandInLms, asked: Lms) -> None:
    lms.add_learner("ann-secret", created=_LONG_AGO)
    with pytest.raises(LmsRefused) as unknown_state:
        await asked.update(username="ann-secret", state="NO_SUCH_STATE", note="n", force=True)
    assert unknown_state.value.status == 400
    lms.misbehave("redirect", route="status", times=None)
    with pytest.raises(LmsRefused, match="redirects are never followed") as redirected:
        await asked.status("ann-secret")
    for error in (unknown_state.value, redirected.value):
        assert "ann-secret" not in f"{error} {error!r}"
        assert lms.url not in f"{error} {error!r}"


@pytest.mark.parametrize("broken", [None, [], {}, {"id": 1}, "text"])
def test_what_is_no_status_object_is_unreadable(broken: object) -> None:
    with pytest.raises(Unreadable):
        read_row(broken)
    with pytest.raises(Unreadable):
        read_rows(broken if broken != [] else [[]])


def test_dates_without_a_fraction_and_without_a_zone_are_read() -> None:
    assert a_row(created="2026-01-18T20:35:52Z").created == datetime(2026, 1, 18, 20, 35, 52, tzinfo=UTC)
    assert a_row(created="2026-01-18T20:35:52").created == datetime(2026, 1, 18, 20, 35, 52, tzinfo=UTC)


def test_a_row_whose_id_is_no_number_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_row({**a_row().current, "id": "46"})
