"""The live check against a real site: what it hasn't got is told by line, and nobody is moved."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from activities.actions.http import HttpAction
from openedx.checking import check_live
from openedx.lms import Lms
from plans.loading import load_plan
from plans.services import HttpService
from plans.yaml_reading import read_yaml
from sandbox.lms.client import StandInLms
from starter.exit_codes import ExitCode
from starter.main import app
from tests.openedx.pipelines import driver_document
from tests.support.stage import LONGEST_WAIT

_ROWS = (
    ("RETIRING_CREDENTIALS", "CREDENTIALS_COMPLETE", "CREDENTIALS", "retire_learner"),
    ("RETIRING_FORUMS", "FORUMS_COMPLETE", "LMS", "retirement_retire_forum"),
    ("RETIRING_PROCTORING", "PROCTORING_COMPLETE", "LMS", "retirement_retire_proctoring_data"),
    ("RETIRING_BRAZE", "BRAZE_COMPLETE", "BRAZE", "delete_user"),
    ("RETIRING_LMS", "LMS_COMPLETE", "LMS", "retirement_lms_retire"),
)
_VENDORS = {"braze_api_key": "t", "braze_instance": "iad-01"}


class Site:
    """An imported site in a folder, whose LMS is the stand-in, and somebody who is retiring there."""

    def __init__(self, *, lms: StandInLms, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.lms = lms
        self.plan, self.file = folder / "openedx.yaml", folder / "openedx.site.yaml"
        self._driver = folder / "driver.yml"
        patch.setenv("OPENEDX_CLIENT_SECRET", lms.settings().client_secret)
        patch.setenv("OPENEDX_BRAZE_API_KEY", "not asked for")
        lms.add_learner("ann", "ann@learner.example", "Ann Learner")
        self.row = lms.row("ann")
        lms.forget_requests()

    async def import_it(self, **more: Any) -> None:
        urls = {"lms": self.lms.url, "credentials": f"{self.lms.url}/credentials"}
        document = driver_document(self.lms.url, _ROWS, **{"base_urls": urls, **_VENDORS, **more})
        self._driver.write_text(yaml.safe_dump(document, sort_keys=False))
        result = await retire("import", self._driver, "--out", self.plan, "--force")
        assert result.exit_code == ExitCode.OK, result.output

    async def check(self, *arguments: str) -> Result:
        return await retire("check", self.plan, "--site", self.file, *arguments)

    def lines(self, result: Result, file: Path | None = None) -> list[str]:
        """What is told of the plan (or the other file), without its name."""
        start = f"{file or self.plan}:"
        return [line.removeprefix(start) for line in result.stdout.splitlines() if line.startswith(start)]

    def line_of(self, *path: str) -> int:
        return read_yaml(self.plan.read_bytes()).line_of(path)


async def retire(*arguments: str | Path) -> Result:
    async with asyncio.timeout(LONGEST_WAIT):
        return await asyncio.to_thread(CliRunner().invoke, app, ["openedx", *map(str, arguments)], prog_name="retire")


@pytest.fixture
async def site(lms: StandInLms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(lms=lms, folder=tmp_path, patch=monkeypatch)
    await site.import_it()
    return site


async def test_a_site_that_has_it_all_is_fine_and_only_read(site: Site) -> None:
    result = await site.check()
    assert (result.exit_code, result.stdout) == (ExitCode.OK, f"{site.plan}: fine\n{site.file}: fine\n")
    requests = site.lms.requests()
    asked = [(request.method, request.path, "authorization" in request.headers) for request in requests]
    assert asked == [
        ("POST", "/oauth2/access_token", False),
        ("GET", "/api/user/v1/accounts/retirement_queue/", True),
        ("POST", "/credentials/user/retire/", False),
        ("POST", "/api/discussion/v1/accounts/retire_forum/", False),
        ("POST", "/api/edx_proctoring/v1/retire_user/0/", False),
        ("POST", "/api/user/v1/accounts/retire/", False),
    ]
    queue = requests[1]
    assert sorted(queue.pairs) == sorted(
        [
            ("cool_off_days", "36500"),
            ("limit", "1"),
            *(("states", state) for row in _ROWS for state in row[:2]),
            *(("states", state) for state in ("PENDING", "ERRORED", "ABORTED", "COMPLETE")),
        ]
    )
    assert not [request for request in requests[2:] if request.body or request.query]
    assert (site.lms.effects(), site.lms.row("ann")) == ([], site.row)


async def test_28_states_that_the_lms_does_not_know_are_all_named_by_line(site: Site) -> None:
    states = tuple(state for state in site.lms.settings().states if state not in ("RETIRING_FORUMS", "LMS_COMPLETE"))
    site.lms.set(states=states)
    result = await site.check()
    mend = "add it to the site's states (`manage.py lms populate_retirement_states`), or write the one that the LMS has"
    assert result.exit_code == ExitCode.PROBLEMS
    assert site.lines(result) == [
        f"{site.line_of('steps', step, 'mirrored', which)}: steps.{step}.mirrored.{which}: {state} is no state of this LMS, so "
        f"a learner would be held there; {mend}"
        for step, which, state in (("forums", "working", "RETIRING_FORUMS"), ("lms", "done", "LMS_COMPLETE"))
    ]
    assert (site.lms.effects(), site.lms.row("ann")) == ([], site.row)


async def test_28_a_route_that_is_missing_is_told_with_its_step_and_line(site: Site) -> None:
    site.lms.set(missing_routes=["retire_forum"])
    result = await site.check()
    assert result.exit_code == ExitCode.PROBLEMS
    assert site.lines(result) == [
        f"{site.line_of('steps', 'forums', 'request', 'path')}: steps.forums.request.path: is a route that 'lms' hasn't got: "
        "every learner would stop here; write the path that your version has, or remove the step. "
        "(Where a gateway hides routes, say so in absent_unchecked)"
    ]
    facts = json.loads((await site.check("--json")).stdout)
    assert [(problem["line"], problem["where"]) for problem in facts["files"][0]["problems"]] == [
        (site.line_of("steps", "forums", "request", "path"), "steps.forums.request.path")
    ]


async def test_a_route_behind_a_gateway_that_hides_it_is_not_asked_for(site: Site) -> None:
    site.lms.set(missing_routes=["retire_forum"])
    plan = yaml.safe_load(site.plan.read_text())
    plan["steps"]["forums"]["absent_unchecked"] = "the gateway answers 404 to whoever has no token"
    site.plan.write_text(yaml.safe_dump(plan, sort_keys=False))
    assert (await site.check()).exit_code == ExitCode.OK
    assert "/api/discussion/v1/accounts/retire_forum/" not in {request.path for request in site.lms.requests()}


async def test_28_an_account_that_may_not_retire_is_told(site: Site) -> None:
    site.lms.set(may_retire=False)
    result = await site.check()
    assert result.exit_code == ExitCode.PROBLEMS
    assert site.lines(result) == [
        f"{site.line_of('services', 'lms', 'auth')}: services.lms.auth: is no account that may retire learners (http_403); make "
        "it superuser, name it in the LMS' RETIREMENT_SERVICE_WORKER_USERNAME, or give it accounts.can_retire_user"
    ]


async def test_a_wrong_secret_is_told_and_never_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", "wrong-9271")
    result = await site.check()
    assert result.exit_code == ExitCode.PROBLEMS
    [line] = site.lines(result)
    assert "services.lms.auth: gets no token (token_http_401); see that client_id and the secret" in line
    assert "9271" not in result.output
    assert (site.lms.effects(), site.lms.row("ann")) == ([], site.row)


async def test_without_its_secret_nobody_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENEDX_CLIENT_SECRET")
    result = await site.check()
    assert result.exit_code == ExitCode.PROBLEMS
    assert "${env:OPENEDX_CLIENT_SECRET} isn't set here; set it" in site.lines(result)[0]
    assert site.lms.requests() == []


async def test_a_redirecting_lms_and_one_without_a_queue_are_told_apart(site: Site) -> None:
    site.lms.misbehave("redirect", route="queue", location="https://elsewhere.example.org/")
    [line] = site.lines(await site.check())
    assert "services.lms.base_url: redirects (HTTP 301), which is never followed; write the address" in line
    site.lms.behave()
    site.lms.set(missing_routes=["queue"])
    [line] = site.lines(await site.check())
    assert "services.lms.base_url: has no retirement queue (HTTP 404); see that it is the LMS" in line


async def test_an_lms_that_is_down_is_told_once(site: Site) -> None:
    plan = load_plan(site.plan)
    service = plan.services["lms"]
    assert isinstance(service, HttpService)
    # A port on which nobody listens.
    down = service.model_copy(update={"base_url": "http://127.0.0.1:9"})
    plan = plan.model_copy(update={"services": {**plan.services, "lms": down}})
    lms, http = Lms(service=down, version="0", waits=()), HttpAction(version="0")
    asked: list[str] = []
    try:
        document = read_yaml(site.plan.read_bytes())
        problems = await check_live(plan, document, lms=lms, http=http, say=asked.append)
    finally:
        await lms.close()
        await http.close()
    assert {problem.where for problem in problems} == {"services.lms.base_url"}
    assert problems[0].what.startswith("gives no usable answer (connect_error); see that it runs")
    # The other service is asked all the same, the LMS' other routes are not.
    assert [text for text in asked if "proctoring" in text or "step lms" in text] == []
    assert [text for text in asked if "credentials" in text]


async def test_what_the_site_s_file_says_otherwise_is_told(site: Site, tmp_path: Path) -> None:
    settings = yaml.safe_load(site.file.read_text())
    settings |= {
        "cool_off_days": 9,
        "archive": {"to": {"bucket": "archive", "secret_access_key": "${env:OPENEDX_NO_SUCH_KEY}"}},
        "reports": {"platform": "example", "partners": {"X": ["Partner"]}, "to": {"directory": str(tmp_path / "no")}},
    }
    site.file.write_text(yaml.safe_dump(settings, sort_keys=False))
    result = await site.check()
    told = site.lines(result, site.file)
    assert result.exit_code == ExitCode.PROBLEMS
    assert [
        line for line in told if "warning: cool_off_days: is another time than the plan's cool_off.duration" in line
    ]
    assert [
        line
        for line in told
        if "archive.to.secret_access_key: ${env:OPENEDX_NO_SUCH_KEY} isn't set here; set it" in line
    ]
    assert [line for line in told if line.split(": ")[1] == "reports.to" and str(tmp_path / "no") in line]


async def test_partners_whom_nobody_could_report_to_are_told(site: Site) -> None:
    plan = yaml.safe_load(site.plan.read_text())
    path = "/api/user/v1/accounts/retirement_partner_report/"
    plan["steps"]["forums"]["request"] |= {"method": "PUT", "path": path}
    site.plan.write_text(yaml.safe_dump(plan, sort_keys=False))
    result = await site.check()
    assert result.exit_code == ExitCode.OK
    [line] = site.lines(result, site.file)
    assert (
        "warning: reports: doesn't say where reports go, and the plan queues learners for partners; add reports" in line
    )


async def test_the_site_s_own_plan_is_found_in_the_folder_of_plans(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETIREMENT_PLANS_DIR", str(site.plan.parent))
    monkeypatch.setenv("RETIREMENT_OPENEDX_SITE", str(site.file))
    result = await retire("check")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, f"{site.plan}: fine\n{site.file}: fine\n")
    monkeypatch.delenv("RETIREMENT_OPENEDX_SITE")
    result = await retire("check", site.plan)
    assert (result.exit_code, result.stdout) == (ExitCode.OK, f"{site.plan}: fine\n")
    assert (await retire("check")).exit_code == ExitCode.USAGE
