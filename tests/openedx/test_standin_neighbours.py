"""What stands beside the LMS: services with its token, vendors with keys of their own, certificates, the manage command."""

import base64
import csv
import io
import subprocess
import sys
from typing import Any

import httpx
import pytest

from sandbox.lms.client import StandInLms
from tests.support.lms_caller import ACCOUNTS, LmsCaller

START = "RETIRING_ENROLLMENTS"
REGULATIONS = "/segment/v1beta/workspaces/stand-in/regulations"


def a_body(route: str, row: dict[str, Any]) -> dict[str, Any]:
    name, number = row["original_username"], row["user"]["id"]
    return {
        "/credentials/user/retire/": {"username": name},
        "/ecommerce/api/v2/user/retire/": {"username": name},
        "/demographics/demographics/api/v1/retire_demographics/": {"lms_user_id": number},
        "/license_manager/api/v1/retire_user/": {"lms_user_id": number, "original_username": name},
        "/extra/api/forget/": {"edx_lms_user_id": number},
    }[route]


@pytest.mark.parametrize(
    ("route", "service"),
    [
        ("/credentials/user/retire/", "credentials"),
        ("/ecommerce/api/v2/user/retire/", "ecommerce"),
        ("/demographics/demographics/api/v1/retire_demographics/", "demographics"),
        ("/license_manager/api/v1/retire_user/", "license_manager"),
        ("/extra/api/forget/", "extra"),
    ],
)
def test_a_service_retires_whom_it_is_told_rightly(
    lms: StandInLms, caller: LmsCaller, route: str, service: str
) -> None:
    row = lms.add_learner("ann")
    bob = lms.add_learner("bob", unknown_to=[f"retire_{service}"])
    good = a_body(route, row)
    for key, value in good.items():
        # A number is a number, and a text a text; a number of somebody else's is nobody.
        for wrong in (str(value) if isinstance(value, int) else 7, None, True):
            assert caller.call("POST", route, json={**good, key: wrong}).status_code == 400
        assert caller.call("POST", route, json={**good, "more": 1}).status_code == 400
        other = bob["user"]["id"] if isinstance(value, int) else "nobody"
        assert caller.call("POST", route, json={**good, key: other}).status_code == 404
    assert lms.effects_on(row) == []
    assert caller.call("POST", route, json=good).is_success
    assert lms.effects_on(row) == [service]
    assert caller.call("POST", route, json=a_body(route, bob)).status_code == 404
    assert [seen.row_id for seen in lms.requests(route=f"retire_{service}")][-2:] == [row["id"], bob["id"]]


def test_services_know_a_learner_after_the_rename_too(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann", state="RETIRING_LMS", tracking_id="ecom-1")
    caller.post("retire", {"username": "ann"})
    assert caller.call("POST", "/credentials/user/retire/", json={"username": "ann"}).status_code == 200
    answer = caller.call("GET", "/ecommerce/api/v2/retirement/tracking_id/ann/")
    assert answer.json()["ecommerce_tracking_id"] == "ecom-1"
    assert answer.json()["lms_user_id"] == row["user"]["id"]
    lms.add_learner("bob")
    assert caller.call("GET", "/ecommerce/api/v2/retirement/tracking_id/bob/").status_code == 404


def test_segment_regulates_and_says_later_how_it_went(lms: StandInLms, caller: LmsCaller) -> None:
    row = lms.add_learner("ann")
    bearer = {"authorization": f"Bearer {lms.settings().segment_token}"}
    values = [str(row["user"]["id"]), "ann", "ecom-1"]

    def body(**overrides: Any) -> dict[str, Any]:
        return {
            "regulation_type": "Suppress_With_Delete",
            "attributes": {"name": "userId", "values": values, **overrides},
        }

    assert caller.call("POST", REGULATIONS, json=body()).status_code == 401
    mistakes: list[dict[str, Any]] = [{"values": [row["user"]["id"]]}, {"values": []}, {"name": "user"}, {"more": 1}]
    for wrong in mistakes:
        assert caller.call("POST", REGULATIONS, json=body(**wrong), **bearer).status_code == 400
    assert caller.call("POST", REGULATIONS, json=body(values=["x"] * 5000), **bearer).status_code == 400
    assert caller.call("POST", f"{REGULATIONS}/", json=body(), **bearer).status_code == 404
    assert caller.call("POST", REGULATIONS.replace("stand-in", "other"), json=body(), **bearer).status_code == 404
    regulate_id = caller.call("POST", REGULATIONS, json=body(), **bearer).json()["regulate_id"]
    assert [regulation["values"] for regulation in lms.regulations()] == [values]
    assert lms.requests("ann", route="segment")[-1].status == 200

    def status() -> str:
        return str(caller.call("GET", f"{REGULATIONS}/{regulate_id}", **bearer).json()["overall_status"])

    assert status() == "INITIALIZED"
    lms.finish_segment("FAILED")
    assert status() == "FAILED"
    lms.finish_segment()
    assert status() == "FINISHED"


def test_other_vendors_take_their_own_keys_and_bodies(lms: StandInLms, caller: LmsCaller) -> None:
    row, settings = lms.add_learner("ann", "ann+1@example.org"), lms.settings()
    number = str(row["user"]["id"])

    def braze(body: Any, key: str = settings.braze_key) -> int:
        return caller.call("POST", "/braze/users/delete", json=body, authorization=f"Bearer {key}").status_code

    assert (braze({"external_ids": [number]}, "x"), braze({"external_ids": [int(number)]})) == (401, 400)
    assert braze({"external_ids": [number]}) == 201

    secret = base64.b64encode(f"{settings.amplitude_key}:{settings.amplitude_secret}".encode()).decode()
    basic = {"authorization": f"Basic {secret}"}
    url = "/amplitude/api/2/deletions/users"
    body = {"user_ids": [number], "ignore_invalid_id": "true", "requester": "user-retirement-pipeline"}
    assert caller.call("POST", url, json=body).status_code == 401
    assert caller.call("POST", url, json={**body, "ignore_invalid_id": True}, **basic).status_code == 400
    job = caller.call("POST", url, json=body, **basic).json()
    assert job["status"] == "staging"
    lms.finish_amplitude()
    days = f"{url}?start_day={job['day']}&end_day={job['day']}"
    assert [each["status"] for each in caller.call("GET", days, **basic).json()] == ["done"]

    bearer = {"authorization": f"Bearer {settings.hubspot_key}", "content_type": None}
    profile = "/hubspot/contacts/v1/contact/email/ann%2B1%40example.org/profile"
    vid = caller.call("GET", profile, **bearer).json()["vid"]
    contact = f"/hubspot/contacts/v1/contact/vid/{vid}"
    assert [caller.call("DELETE", contact, **bearer).status_code for _ in range(2)] == [200, 404]
    assert caller.call("GET", profile, **bearer).status_code == 404
    assert lms.effects_on(row) == ["braze", "amplitude", "hubspot"]
    # By whatever of the learner a request names.
    about_ann = [seen.route for seen in lms.requests("ann")]
    assert about_ann == ["braze"] * 3 + ["amplitude"] * 3 + ["hubspot", "hubspot_delete", "hubspot_delete", "hubspot"]


def replaced(caller: LmsCaller, path: str, *mappings: dict[str, str]) -> httpx.Response:
    return caller.call("POST", path, json={"username_mappings": list(mappings)})


def test_usernames_are_replaced_and_some_are_not(lms: StandInLms, caller: LmsCaller) -> None:
    ann = lms.add_learner("ann", state=None)
    for name in ("bob", "cem"):
        lms.add_learner(name, state=None)
    lms.set(failing_replacements={"lms": ["cem"], "credentials": ["ann"]})
    path = f"{ACCOUNTS}/replace_usernames/"
    assert replaced(caller, path, {"ann": "x", "bob": "y"}).status_code == 400
    assert replaced(caller, path).status_code == 400
    answer = replaced(caller, path, {"ann": "bob"}, {"cem": "c"}, {"nobody": "n"}).json()
    # A name that is taken is altered, and whoever asks must use what was given.
    assert answer == {
        "successful_replacements": [{"ann": "bob1"}],
        "failed_replacements": [{"cem": "c"}, {"nobody": "n"}],
    }
    assert lms.learner(ann["id"])["username"] == "bob1"
    for service in ("/ecommerce/api/v2/user_management", "/discovery/api/v1", "/api/discussion/v1/accounts"):
        done = replaced(caller, f"{service}/replace_usernames/", {"ann": "bob1"}).json()
        assert done == {"successful_replacements": [{"ann": "bob1"}], "failed_replacements": []}
    partly = replaced(caller, "/credentials/api/v2/replace_usernames/", {"ann": "bob1"}).json()
    assert partly["failed_replacements"] == [{"ann": "bob1"}]
    # Not safe to repeat.
    assert replaced(caller, path, {"ann": "bob"}).json()["successful_replacements"] == []


def manage(lms: StandInLms, *command: str) -> int:
    arguments = [sys.executable, "-m", "sandbox.lms.manage", "--url", lms.url, "lms", *command]
    return subprocess.run(arguments, check=False, capture_output=True).returncode


def test_links_of_certificates_are_blanked_for_the_retired_alone(lms: StandInLms, caller: LmsCaller) -> None:
    states = {"ann": "COMPLETE", "bob": "PENDING", "cem": None, "dee": START}
    people = {name: lms.add_learner(name, state=state) for name, state in states.items()}
    users = {name: row["user"]["id"] if states[name] else row["id"] for name, row in people.items()}
    certificates = {name: lms.add_certificate(user_id) for name, user_id in users.items()}
    # Cleaned up rows are still retired, by the record that stays for ever.
    assert caller.post("retirement_cleanup", {"usernames": ["ann"]}).status_code == 204
    listed = list(csv.DictReader(io.StringIO(lms.certificate_listing())))
    assert [row["retired"] for row in listed] == ["1", "0", "0", "1"]
    ids = {name: certificate["id"] for name, certificate in certificates.items()}
    lms.set(failing_certificates=[ids["dee"]])
    answer = caller.call(
        "POST", "/api/certificates/v1/purge_references/", json={"certificate_ids": [*ids.values(), 987654]}
    )
    assert answer.status_code == 207
    assert answer.json() == {"processed": [ids["ann"]], "failed": [ids["bob"], ids["cem"], ids["dee"], 987654]}
    kept = {row["id"]: row for row in lms.certificates()}
    assert kept[ids["ann"]] == {**certificates["ann"], "retired": 1, "download_url": "", "download_uuid": ""}
    assert kept[ids["bob"]] == certificates["bob"]
    lms.set(failing_certificates=[])
    purge = "purge_references_to_pdf_certificates"
    assert manage(lms, purge, "--certificate_ids", str(ids["dee"]), "--dry-run") == 0
    assert lms.certificates()[-1]["download_uuid"]
    assert manage(lms, purge, "--certificate_ids", str(ids["dee"]), str(ids["ann"])) == 0
    assert lms.certificates()[-1]["download_uuid"] == ""
    assert manage(lms, purge, "--certificate_ids", str(ids["bob"])) == 1


def test_support_cancels_by_command(lms: StandInLms) -> None:
    lms.add_learner("ann", "ann@example.org")
    lms.add_learner("bob", "bob@example.org", state=START)
    cancel = "cancel_user_retirement_request"
    assert [manage(lms, cancel, f"{name}@example.org") for name in ("ann", "bob", "cem")] == [0, 1, 1]
    assert (lms.row("ann"), lms.state("bob")) == (None, START)


def test_the_help_says_what_is_served() -> None:
    shown = subprocess.run([sys.executable, "-m", "sandbox.lms", "--help"], check=True, capture_output=True, text=True)
    assert "/license_manager" in shown.stdout and "python -m sandbox.lms --database" in shown.stdout
