"""The stand-in LMS keeps the rules of the real one: a stand-in that accepts anything would prove nothing."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from sandbox.lms.client import StandInLms, a_learner
from sandbox.lms.states import DEFAULT_STATES
from tests.support.lms_caller import ACCOUNTS, FORM, LmsCaller

NOW = datetime.now(UTC)
START = "RETIRING_ENROLLMENTS"
END = "ENROLLMENTS_COMPLETE"


def ids(answer: httpx.Response) -> list[int]:
    return [row["id"] for row in answer.json()]


# Tokens.


def test_a_token_is_given_for_exactly_four_fields(lms: StandInLms, caller: LmsCaller) -> None:
    lms.set(token_lifetime=120)
    answer = caller.fetch_token().json()
    assert (answer["expires_in"], answer["token_type"], set(answer)) == (
        120,
        "JWT",
        {"access_token", "expires_in", "token_type", "scope"},
    )
    assert caller.fetch_token(client_secret="wrong").status_code == 401
    assert caller.fetch_token(grant_type="password").status_code == 400
    assert caller.fetch_token(token_type="bearer").status_code == 400
    assert caller.fetch_token(scope="all").status_code == 400
    good = "grant_type=client_credentials&client_id=retirement&client_secret=x&token_type=jwt"
    for headers in ({"content-type": FORM, "authorization": "Basic eA=="}, {"content-type": "application/json"}):
        assert caller.http.post("/oauth2/access_token", content=good, headers=headers).status_code == 400
    assert caller.http.post("/oauth2/access_token/", content=good, headers={"content-type": FORM}).status_code == 404
    lms.set(tells_expiry=False)
    assert "expires_in" not in caller.fetch_token().json()
    assert lms.counts()["token"] == 8


def test_a_token_ends(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann")
    assert caller.status("ann").status_code == 200
    lms.revoke_tokens()
    assert caller.status("ann").status_code == 401
    lms.set(token_lifetime=0)
    caller.fetch_token()
    assert caller.status("ann").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ACCOUNTS}/ann/retirement_status/"),
        ("PATCH", f"{ACCOUNTS}/update_retirement_status/"),
        ("POST", "/api/enrollment/v1/unenroll/"),
        ("POST", f"{ACCOUNTS}/retirement_partner_report/"),
        ("POST", "/api/edx_proctoring/v1/retire_user/0/"),
        ("POST", "/credentials/user/retire/"),
        ("GET", "/ecommerce/api/v2/retirement/tracking_id/ann/"),
        ("POST", "/license_manager/api/v1/retire_user/"),
    ],
)
def test_every_call_needs_the_token_and_the_content_type(
    lms: StandInLms, caller: LmsCaller, method: str, path: str
) -> None:
    lms.add_learner("ann")
    caller.fetch_token()
    assert caller.call(method, path, authorization=None).status_code == 401
    assert caller.call(method, path, authorization=f"Bearer {caller.token}").status_code == 401
    assert caller.call(method, path, content_type=None).status_code == 415
    assert caller.call(method, path, content_type=FORM).status_code == 415
    assert caller.call("DELETE", path).status_code == 405
    assert caller.call(method, path.removesuffix("/")).status_code == 404
    assert caller.call(method, path.removesuffix("/"), authorization=None).status_code == 404
    assert caller.call(method, f"{path}?more=1").status_code == 400


def test_a_service_account_without_permission_is_refused(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann")
    lms.set(may_cancel=False)
    assert caller.post("cancel_retirement", {"retirement_id": row["id"]}).status_code == 403
    assert caller.status("ann").status_code == 200
    lms.set(may_retire=False)
    assert caller.status("ann").status_code == 403
    assert caller.update("ann", START).status_code == 403


# Rows.


def test_the_status_of_a_learner(lms: StandInLms, caller: LmsCaller) -> None:
    created = datetime(2026, 1, 18, 20, 35, 52, 349757, tzinfo=UTC)
    lms.add_learner("ann", "ann@example.org", "Ann", created=created, modified=created.replace(microsecond=0))
    row = caller.status("ann").json()
    assert row["created"] == "2026-01-18T20:35:52.349757Z"
    assert row["modified"] == "2026-01-18T20:35:52Z"
    assert set(row) == {
        *("id", "user", "current_state", "last_state", "created", "modified"),
        *("original_username", "original_email", "original_name", "retired_username", "retired_email"),
    }
    assert row["current_state"] == {"id": 1, "state_name": "PENDING", "state_execution_order": 1}
    assert (row["original_username"], row["original_email"], row["original_name"]) == ("ann", "ann@example.org", "Ann")
    # The address is locked away from the moment of the request.
    assert row["user"]["email"] == row["retired_email"] != "ann@example.org"
    assert row["user"]["id"] not in (row["id"], row["user"]["profile"]["id"])


def test_usernames_match_case_and_are_one_segment_of_the_path(lms: StandInLms, caller: LmsCaller) -> None:
    upper, lower = lms.add_learner("Ann"), lms.add_learner("ann")
    odd = lms.add_learner("zoë m/k")
    assert caller.status("Ann").json()["id"] == upper["id"]
    assert caller.status("ann").json()["id"] == lower["id"]
    assert caller.status("ANN").status_code == 404
    assert caller.status(quote("zoë m/k", safe="")).json()["id"] == odd["id"]
    assert upper["retired_username"] != lower["retired_username"]
    assert caller.update("ANN", START).status_code == 404
    lms.set(lookup_ignores_case=True)
    assert caller.status("ZOË%20m%2Fk").status_code == 404  # ASCII alone, as in SQLite
    assert caller.status("ANN").json()["id"] == upper["id"]


def test_an_update_moves_forward_only(lms: StandInLms, caller: LmsCaller) -> None:
    before = lms.add_learner("ann", created=NOW - timedelta(days=8))
    assert caller.update("ann", START).status_code == 204
    row = lms.row("ann")
    assert row is not None
    assert (row["current_state"]["state_name"], row["last_state"]["state_name"]) == (START, "PENDING")
    assert row["modified"] > before["modified"] and row["created"] == before["created"]
    assert "because" in row["responses"]
    assert "responses" not in caller.status("ann").json()
    for state in (START, "PENDING", "RETIRING_FORUMS", "NO_STATE"):
        refused = caller.update("ann", state)
        assert refused.status_code == 400 and isinstance(refused.json(), str)
    assert lms.row("ann") == row
    assert caller.update("ann", "PENDING", force=True).status_code == 204
    assert caller.status("ann").json()["last_state"]["state_name"] == START
    assert caller.update("ann", "NO_STATE", force=True).status_code == 400
    assert caller.update("ann", "ERRORED").status_code == 204
    # The real LMS accepts this one, too.
    assert caller.update("ann", "COMPLETE").status_code == 204


def test_an_update_has_exactly_its_keys(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann")
    path = f"{ACCOUNTS}/update_retirement_status/"
    good = {"username": "ann", "new_state": START, "response": "because"}
    for key in good:
        without = {each: value for each, value in good.items() if each != key}
        wanted = 404 if key == "username" else 400
        assert caller.call("PATCH", path, json=without).status_code == wanted
        assert caller.call("PATCH", path, json={**good, key: 1}).status_code == wanted
    assert caller.update("ann", START, extra=1).status_code == 400
    assert caller.update("ann", START, force="true").status_code == 400
    assert caller.update("bob", START).status_code == 404
    assert caller.call("PATCH", path, json=[good]).status_code == 400
    merge = caller.call("PATCH", path, json=good, content_type="application/merge-patch+json")
    assert merge.status_code == 415
    assert lms.state("ann") == "PENDING"


def test_the_states_are_those_of_the_site(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann")
    lms.set(states=DEFAULT_STATES)
    assert caller.update("ann", "RETIRING_SEGMENT").status_code == 400
    assert caller.update("ann", "RETIRING_LMS").status_code == 204
    assert caller.status("ann").json()["current_state"]["state_execution_order"] == 111
    with pytest.raises(AssertionError, match="begin with PENDING"):
        lms.set(states=["RETIRING_LMS", "COMPLETE"])


def test_the_queue(lms: StandInLms, caller: LmsCaller) -> None:
    old = [lms.add_learner(f"old{number}", created=NOW - timedelta(days=7, minutes=1)) for number in range(3)]
    lms.add_learner("young", created=NOW - timedelta(days=6, hours=23))
    stuck = lms.add_learner("stuck", created=NOW - timedelta(days=9), state=START)
    week = ("cool_off_days", "7")
    assert ids(caller.queue(week, ("states", "PENDING"))) == [row["id"] for row in old]
    both = caller.queue(week, ("states", START), ("states", "PENDING"))
    assert ids(both) == [*(row["id"] for row in old), stuck["id"]]
    assert ids(caller.queue(week, ("states", "PENDING"), ("limit", "2"))) == [row["id"] for row in old[:2]]
    assert len(ids(caller.queue(("cool_off_days", "0"), ("states", "PENDING")))) == 4
    assert ids(caller.queue(("cool_off_days", "36500"), ("states", "PENDING"), ("limit", "1"))) == []
    for wrong in (
        [week],
        [("states", "PENDING")],
        [week, ("states", "NO_STATE")],
        [("cool_off_days", "-1"), ("states", "PENDING")],
        [("cool_off_days", "x"), ("states", "PENDING")],
        [week, ("states", "PENDING"), ("limit", "0")],
    ):
        assert caller.queue(*wrong).status_code == 400, wrong


def test_rows_by_status_and_date(lms: StandInLms, caller: LmsCaller) -> None:
    def asked(start: str, end: str, state: str = "COMPLETE") -> httpx.Response:
        query = f"start_date={start}&end_date={end}&state={state}"
        return caller.call("GET", f"{ACCOUNTS}/retirements_by_status_and_date/?{query}")

    first, last, _ = (
        lms.add_learner(name, state="COMPLETE", created=created)
        for name, created in (
            ("first", datetime(2024, 3, 1, tzinfo=UTC)),
            ("last", datetime(2024, 3, 2, 23, 59, 59, 999999, tzinfo=UTC)),
            ("too late", datetime(2024, 3, 3, tzinfo=UTC)),
        )
    )
    assert ids(asked("2024-03-01", "2024-03-02")) == [first["id"], last["id"]]
    assert ids(asked("2024-03-02", "2024-03-02")) == [last["id"]]
    assert ids(asked("2024-03-04", "2024-03-05")) == []
    assert ids(asked("2024-03-01", "2024-03-02", "PENDING")) == []
    tomorrow = (NOW + timedelta(days=1)).date().isoformat()
    for wrong in (("2024-03-02", "2024-03-01"), ("2024-03-01", tomorrow), ("2024-03-01", "2024-03-02", "NO_STATE")):
        assert asked(*wrong).status_code == 400
    assert asked("1 March", "2024-03-02").status_code == 400


def test_cleanup_is_all_or_nothing(lms: StandInLms, caller: LmsCaller) -> None:
    for name in ("ann", "bob"):
        lms.add_learner(name, state="COMPLETE")
    lms.add_learner("cem", state="ERRORED")
    for names in (["ann", "cem"], ["ann", "nobody"], ["ann", "Bob"], ["ann", "ann"]):
        assert caller.post("retirement_cleanup", {"usernames": names}).status_code == 400
    assert lms.row("ann") is not None
    redacted = {"redacted_username": "gone", "redacted_email": "gone", "redacted_name": "gone"}
    assert caller.post("retirement_cleanup", {"usernames": ["ann"], "redacted": "gone"}).status_code == 400
    assert caller.post("retirement_cleanup", {"usernames": ["ann"], **redacted}).status_code == 204
    lms.set(redacts_at_cleanup=False)
    assert caller.post("retirement_cleanup", {"usernames": ["bob"], **redacted}).status_code == 400
    assert caller.post("retirement_cleanup", {"usernames": ["bob"]}).status_code == 204
    assert lms.row("ann") is None and lms.row("bob") is None
    assert caller.status("ann").status_code == 404


def test_cancel_gives_the_account_back_while_it_is_pending(lms: StandInLms, caller: LmsCaller) -> None:
    row, late = lms.add_learner("ann", "ann@example.org"), lms.add_learner("bob", state=START)
    for wrong in ({"retirement_id": late["id"]}, {"retirement_id": row["user"]["id"]}, {}, {"retirement_id": "1"}):
        assert caller.post("cancel_retirement", wrong).status_code == 400
    answer = caller.post("cancel_retirement", {"retirement_id": row["id"]})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert caller.status("ann").status_code == 404
    assert lms.learner(row["user"]["id"])["email"] == "ann@example.org"
    assert caller.post("cancel_retirement", {"retirement_id": row["id"]}).status_code == 400
    lms.set(missing_routes=["cancel"])
    assert caller.post("cancel_retirement", {"retirement_id": row["id"]}).status_code == 404
    # The learner may ask again, and gets a number that was never used.
    assert lms.ask_for_retirement("ann")["id"] > row["id"]


def test_learners_ask_for_themselves_with_their_password(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=None, password="secret")

    def asked(password: str, token: str) -> int:
        headers = {"authorization": f"JWT {token}"}
        path = f"{ACCOUNTS}/deactivate_logout/"
        return caller.http.post(path, data={"password": password}, headers=headers).status_code

    caller.fetch_token()
    assert asked("secret", caller.token) == 403  # the service account is not the learner
    assert asked("wrong", lms.learner_token("ann")) == 403
    assert lms.row("ann") is None
    assert asked("secret", lms.learner_token("ann")) == 204
    assert lms.state("ann") == "PENDING"


# Steps.

STEPS = {
    "/api/discussion/v1/accounts/retire_forum/": ("forum", 204, 500),
    f"{ACCOUNTS}/retire_mailings/": ("mailings", 204, 500),
    "/api/enrollment/v1/unenroll/": ("unenroll", 200, 500),
    "/api/enrollment/v1/enrollment/unenroll/": ("unenroll", 200, 500),
    "/api/edxnotes/v1/retire_user/": ("notes", 204, 405),
    f"{ACCOUNTS}/retire_misc/": ("misc", 204, 500),
    f"{ACCOUNTS}/retire/": ("retire", 204, 500),
}


@pytest.mark.parametrize("path", STEPS)
def test_a_step_works_in_a_start_state_alone(lms: StandInLms, caller: LmsCaller, path: str) -> None:
    effect, done, wrong_state = STEPS[path]
    row = lms.add_learner("ann")
    for state in ("PENDING", END, "ERRORED", "ABORTED", "COMPLETE"):
        lms.change_row("ann", state=state)
        assert caller.call("POST", path, json={"username": "ann"}).status_code == wrong_state, state
    lms.change_row("ann", state=START)
    assert caller.call("POST", path, json={"username": "Ann"}).status_code == 404
    for wrong in ({}, {"username": "ann", "more": 1}, {"username": 1}, None, ["ann"]):
        assert caller.call("POST", path, json=wrong).status_code == 400, wrong
    assert lms.effects_on(row) == []
    assert caller.call("POST", path, json={"username": "ann"}).status_code == done
    assert lms.effects_on(row) == [effect]
    # Safe to repeat.
    assert caller.call("POST", path, json={"username": "ann"}).is_success


def test_unenrolling_answers_what_was_left(lms: StandInLms, caller: LmsCaller) -> None:
    lms.add_learner("ann", state=START, orgs=["edX", "MITx"])
    first = caller.call("POST", "/api/enrollment/v1/unenroll/", json={"username": "ann"})
    assert (first.status_code, len(first.json())) == (200, 2)
    again = caller.call("POST", "/api/enrollment/v1/unenroll/", json={"username": "ann"})
    assert (again.status_code, again.content) == (204, b"")


def test_retiring_renames_and_the_original_name_still_finds_the_row(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann", "ann@example.org", "Ann", state="RETIRING_LMS")
    certificate = lms.add_certificate(row["user"]["id"], name="Ann")
    assert caller.post("retire", {"username": "ann"}).status_code == 204
    now = caller.status("ann").json()
    assert now["user"]["username"] == now["retired_username"] == row["retired_username"]
    assert now["user"]["email"] == now["retired_email"]
    assert now["user"]["profile"]["name"] == ""
    assert (now["original_username"], now["original_email"]) == ("ann", "ann@example.org")
    assert caller.status(now["retired_username"]).status_code == 404
    assert lms.learner(row["user"]["id"])["active"] == 0
    assert lms.certificates() == [{**certificate, "name": ""}]
    assert caller.update("ann", "LMS_COMPLETE").status_code == 204


def test_proctoring_is_told_the_user_id_and_nothing_else(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann")
    for path, status in (("retire_user", 204), ("retire_backend_user", 200)):
        route = f"/api/edx_proctoring/v1/{path}"
        assert caller.call("POST", f"{route}/{row['id']}/").status_code == 404
        assert caller.call("POST", f"{route}/{row['user']['id']}/", json={}).status_code == 400
        assert caller.call("POST", f"{route}/{row['user']['id']}/").status_code == status
    assert lms.effects_on(row) == ["proctoring", "proctoring_backend"]


# Partner reports.


def test_partner_rows_are_handed_out_once_and_taken_off_all_or_none(lms: StandInLms, caller: LmsCaller) -> None:
    def put(username: str) -> int:
        path = f"{ACCOUNTS}/retirement_partner_report/"
        return caller.call("PUT", path, json={"username": username}).status_code

    lms.set(orgs_config={"MITx": ["user_id"]})
    ann = lms.add_learner("ann", state=START, orgs=["edX", "MITx", "edX"])
    lms.add_learner("bob", state=START, orgs=[])
    lms.add_learner("cem", state="PENDING")
    assert [put(name) for name in ("ann", "ann", "bob", "cem", "nobody")] == [204, 204, 204, 500, 404]
    assert caller.post("retirement_partner_report_cleanup", [{"original_username": "ann"}]).status_code == 400
    assert caller.post("retirement_partner_report", {}).status_code == 400
    [row] = caller.post("retirement_partner_report").json()
    assert {key: row[key] for key in row if key != "created"} == {
        "user_id": ann["user"]["id"],
        "original_username": "ann",
        "original_email": "ann@learner.example",
        "original_name": "Learner ann",
        "orgs": ["edX", "MITx"],
        "orgs_config": [{"org": "MITx", "field_headings": ["user_id"]}],
    }
    assert caller.post("retirement_partner_report").json() == []
    names = [{"original_username": "ann"}]
    for wrong in ([], [*names, {"original_username": "bob"}], names[0], {"usernames": ["ann"]}, ["ann"]):
        assert caller.post("retirement_partner_report_cleanup", wrong).status_code == 400
    assert caller.post("retirement_partner_report_cleanup", names).status_code == 204
    assert lms.partner_reports() == []


# The record.


def test_every_request_is_on_record_in_order(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann m")
    caller.status("ann%20m", idempotency_key="k-1")
    caller.update("ann m", START)
    caller.queue(("cool_off_days", "0"), ("states", "PENDING"))
    caller.call("POST", "/nowhere/")
    token, status, update, queue, nowhere = lms.requests()
    assert (token.route, token.row_id, "authorization" in token.headers) == ("token", None, False)
    assert (status.method, status.path) == ("GET", f"{ACCOUNTS}/ann%20m/retirement_status/")
    assert (status.row_id, status.status, status.body) == (row["id"], 200, "")
    assert (status.headers["authorization"], status.headers["idempotency-key"]) == (f"JWT {caller.token}", "k-1")
    assert update.json == {"username": "ann m", "new_state": START, "response": "because"}
    assert (update.new_state, update.status) == (START, 204)
    assert queue.pairs == [("cool_off_days", "0"), ("states", "PENDING")]
    assert (nowhere.route, nowhere.status) == (None, 404)
    assert lms.requests("ann m") == [status, update]
    assert lms.counts() == {"token": 1, "status": 1, "update": 1, "queue": 1, "none": 1}
    lms.set(records=False)
    caller.status("ann%20m")
    assert len(lms.requests()) == 5
    assert lms.counts()["status"] == 2


def test_a_site_below_a_prefix_is_nowhere_else(lms: StandInLms, caller: LmsCaller) -> None:
    lms.set(prefix="/campus")
    lms.add_learner("ann", state=START)
    settings = lms.settings()
    form = {"grant_type": "client_credentials", "client_id": settings.client_id}
    form |= {"client_secret": settings.client_secret, "token_type": "jwt"}
    assert caller.http.post("/oauth2/access_token", data=form).status_code == 404
    caller.token = caller.http.post("/campus/oauth2/access_token", data=form).json()["access_token"]
    assert caller.status("ann").status_code == 404
    assert caller.call("GET", f"/campus{ACCOUNTS}/ann/retirement_status/").status_code == 200
    assert caller.call("POST", "/credentials/user/retire/", json={"username": "ann"}).status_code == 200


async def test_rows_and_requests_outlive_a_restart(lms: StandInLms, caller: LmsCaller) -> None:
    lms.set(token_lifetime=50)
    lms.add_learners(a_learner(f"learner-{number}") for number in range(3))
    caller.status("learner-1")
    await lms.take_down()
    with pytest.raises(httpx.ConnectError):
        caller.status("learner-1")
    await lms.bring_back()
    assert lms.state("learner-1") == "PENDING"
    assert [seen.route for seen in lms.requests()] == ["token", "status"]
    assert lms.settings().token_lifetime == 50
    # Tokens are signed with a key of the process.
    assert caller.status("learner-1").status_code == 401
