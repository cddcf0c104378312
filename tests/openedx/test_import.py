"""Reading the driver's configuration: what becomes of it, what is refused by file and line, and that no secret comes along."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from activities.rendering import evaluate, holds
from openedx.driver_file import read_driver_file
from openedx.importing import Options, import_site, site_id_of
from openedx.site import load_site
from openedx.writing import write_yaml
from plans.loading import check_plan, load_plan
from plans.worst_case import worst_case
from plans.yaml_reading import Severity, read_yaml
from starter.exit_codes import ExitCode
from starter.main import app

ROOT = Path(__file__).parents[2]
GALLERY = Path(__file__).parent / "driver_files"
_EXPECT = "# expect: "
#: Files that are imported without an error; all others of the gallery tell something.
GOOD = ("one_step", "four_steps", "thirteen_steps", "vendors")
TOLD = sorted(path for path in GALLERY.glob("*.yml") if path.stem not in GOOD)
#: Every secret of the gallery.
SECRETS = ("hunter2", "98127")
HAS_PROBLEMS = 1


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine, and a folder to write to."""
    for name in ("CONFIG_FILE", "COOL_OFF_DAYS", "USER_COUNT_ERROR_THRESHOLD", "MAX_USER_BATCH_SIZE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"RETIREMENT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def run_import(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["openedx", "import", *map(str, arguments)], prog_name="retire")


def driver_file(name: str) -> Path:
    return GALLERY / f"{name}.yml"


def imported(name: str, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The plan of a good file."""
    result = run_import(driver_file(name), "--out", tmp_path / "openedx.yaml", *arguments)
    assert result.exit_code == ExitCode.OK, result.output
    plan: dict[str, Any] = yaml.safe_load((tmp_path / "openedx.yaml").read_text())
    return plan


def kept(tmp_path: Path) -> dict[str, Any]:
    """What the site's file keeps."""
    return load_site(tmp_path / "openedx.site.yaml").kept


# What is refused, and what is warned of.


@pytest.mark.parametrize("path", TOLD, ids=lambda path: path.stem)
def test_27_a_file_is_told_word_for_word_and_by_line(path: Path, tmp_path: Path) -> None:
    expected = [line.removeprefix(_EXPECT) for line in path.read_text().splitlines() if line.startswith(_EXPECT)]
    assert expected, "says at its end what importing must tell"
    result = run_import(path)
    told = [line.removeprefix(f"{path}:") for line in result.stdout.splitlines() if line.startswith(f"{path}:")]
    assert told == expected
    warns = path.stem.startswith("warning--")
    assert result.exit_code == (ExitCode.OK if warns else HAS_PROBLEMS)
    written = sorted(file.name for file in tmp_path.iterdir())
    assert written == (["openedx.site.yaml", "openedx.yaml"] if warns else [])


@pytest.mark.parametrize("path", [*TOLD, *map(driver_file, GOOD)], ids=lambda path: path.stem)
def test_26_no_secret_gets_into_a_file_or_onto_the_screen(path: Path, tmp_path: Path) -> None:
    assert any(secret in path.read_text() for secret in SECRETS) or path.stem in ("no-credentials", "wrong-kinds")
    texts = [run_import(path, "--keep-dead").output, run_import(path, "--json", "--force").output]
    texts += [file.read_text() for file in tmp_path.iterdir()]
    assert not [secret for secret in SECRETS for text in texts if secret in text]


def test_the_gallery_shows_every_refusal_and_every_warning() -> None:
    assert {path.stem.partition("--")[0] for path in TOLD} == {
        *("unknown-service", "unknown-method", "discovery", "no-base-url", "no-lms", "no-key", "no-credentials"),
        *("no-ecommerce", "not-four-texts", "state-twice", "required-state", "start-is-complete", "long-state"),
        *("withdrawn", "no-pipeline", "bad-pipeline", "bad-address", "wrong-kinds", "extra-services", "placeholder"),
        *("key-twice", "not-a-mapping", "warning"),
    }
    assert len([path for path in TOLD if path.stem.startswith("warning--")]) == 8


def test_problems_come_as_json_too(tmp_path: Path) -> None:
    result = run_import(driver_file("unknown-method"), "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["errors"], facts["problems"][0]["line"]) == (HAS_PROBLEMS, 1, 6)
    facts = json.loads(run_import(driver_file("vendors"), "--json").stdout)
    assert (facts["plan"], facts["site_id"], facts["warnings"]) == ("openedx.yaml", "courses", 2)
    assert facts["variables"] == [
        "OPENEDX_CLIENT_SECRET",
        "OPENEDX_SEGMENT_AUTH_TOKEN",
        "OPENEDX_BRAZE_API_KEY",
        "OPENEDX_AMPLITUDE_API_KEY",
        "OPENEDX_AMPLITUDE_SECRET_KEY",
        "OPENEDX_HUBSPOT_API_KEY",
    ]


def test_a_file_that_isn_t_there_is_told(tmp_path: Path) -> None:
    result = run_import(tmp_path / "missing.yml")
    assert (result.exit_code, result.stdout) == (
        HAS_PROBLEMS,
        f"{tmp_path / 'missing.yml'}: there is no such file; check the path\n1 error in {tmp_path / 'missing.yml'}\n",
    )
    empty = tmp_path / "empty.yml"
    empty.write_text("\n")
    assert f"{empty}:1: is empty; name the driver's configuration file\n" in run_import(empty).stdout


def test_a_withdrawn_method_that_can_be_called_is_kept_on_demand(tmp_path: Path) -> None:
    lines = [line for line in driver_file("withdrawn").read_text().splitlines() if "SAILTHRU" not in line]
    file = tmp_path / "driver.yml"
    file.write_text("\n".join(lines))
    assert run_import(file).exit_code == HAS_PROBLEMS
    result = run_import(file, "--keep-dead")
    assert result.exit_code == ExitCode.OK
    assert "is withdrawn, and kept as you ask" in result.stdout
    assert list(load_plan(tmp_path / "openedx.yaml").steps) == ["locking_account", "lms"]


# What becomes of a file.


@pytest.mark.parametrize("name", GOOD)
def test_26_the_same_file_gives_the_same_bytes(name: str) -> None:
    raw = driver_file(name).read_bytes()
    texts = set()
    for _ in range(2):
        file, _ = read_driver_file(raw, prefix="OPENEDX")
        assert file is not None
        made = import_site(file, options=Options(plan="openedx"))
        texts.add((made.plan, made.site))
    assert len(texts) == 1


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("days", [0, 7, 30])
def test_26_an_imported_plan_and_site_can_be_used(name: str, days: int, tmp_path: Path) -> None:
    imported(name, tmp_path, "--cool-off-days", str(days))
    assert check_plan(tmp_path / "openedx.yaml", secrets=False) == ()
    plan, site = load_plan(tmp_path / "openedx.yaml"), load_site(tmp_path / "openedx.site.yaml")
    assert (site.site, site.plan, site.cool_off_days, plan.cool_off.duration.days) == ("courses", "openedx", days, days)


def test_our_example_is_what_the_import_makes_of_its_file(tmp_path: Path) -> None:
    result = run_import(ROOT / "openedx" / "example_driver.yml")
    assert result.exit_code == ExitCode.OK
    again = (
        "retire openedx import openedx/example_driver.yml --out plans/openedx.yaml --site-out openedx/site.yaml --force"
    )
    assert (tmp_path / "openedx.yaml").read_bytes() == (ROOT / "plans" / "openedx.yaml").read_bytes(), again
    assert (tmp_path / "openedx.site.yaml").read_bytes() == (ROOT / "openedx" / "site.yaml").read_bytes(), again


def test_four_steps_are_a_chain_with_the_states_of_their_rows(tmp_path: Path) -> None:
    steps = imported("four_steps", tmp_path)["steps"]
    assert [(id, step.get("after"), step["mirrored"]) for id, step in steps.items()] == [
        ("email_lists", None, {"working": "RETIRING_EMAIL_LISTS", "done": "EMAIL_LISTS_COMPLETE"}),
        ("enrollments", ["email_lists"], {"working": "RETIRING_ENROLLMENTS", "done": "ENROLLMENTS_COMPLETE"}),
        ("lms_misc", ["enrollments"], {"working": "RETIRING_LMS_MISC", "done": "LMS_MISC_COMPLETE"}),
        ("lms", ["lms_misc"], {"working": "RETIRING_LMS", "done": "LMS_COMPLETE"}),
    ]
    for step in steps.values():
        spelt_out = {name: step[name] for name in ("absent", "timeout", "longest_timeout", "patience")}
        assert spelt_out == {"absent": [], "timeout": "120s", "longest_timeout": "10m", "patience": "24h"}


def test_thirteen_steps_ask_what_the_services_want(tmp_path: Path) -> None:
    plan = imported("thirteen_steps", tmp_path)
    username = {"username": "{{ subject.username }}"}
    number = "{{ subject.lms_user_id }}"
    asked = {
        id: (
            step["service"],
            step["request"]["method"],
            step["request"]["path"],
            step["request"].get("json"),
            step["absent"],
        )
        for id, step in plan["steps"].items()
    }
    segment = asked.pop("segment")
    assert list(asked.values()) == [
        ("credentials", "POST", "/user/retire/", username, []),
        ("ecommerce", "POST", "/api/v2/user/retire/", username, []),
        ("demographics", "POST", "/demographics/api/v1/retire_demographics/", {"lms_user_id": number}, [404, 410]),
        (
            "license_manager",
            "POST",
            "/api/v1/retire_user/",
            {"lms_user_id": number, "original_username": "{{ subject.username }}"},
            [404, 410],
        ),
        ("lms", "POST", "/api/discussion/v1/accounts/retire_forum/", username, [404, 410]),
        ("lms", "POST", "/api/user/v1/accounts/retire_mailings/", username, []),
        ("lms", "POST", "/api/enrollment/v1/unenroll/", username, []),
        ("lms", "POST", "/api/edxnotes/v1/retire_user/", username, []),
        ("lms", "POST", f"/api/edx_proctoring/v1/retire_user/{number}/", None, []),
        ("lms", "PUT", "/api/user/v1/accounts/retirement_partner_report/", username, []),
        ("lms", "POST", "/api/user/v1/accounts/retire_misc/", username, []),
        ("lms", "POST", "/api/user/v1/accounts/retire/", username, []),
    ]
    assert segment[:3] == ("segment", "POST", "/v1beta/workspaces/example/regulations")
    addresses = {id: service["base_url"] for id, service in plan["services"].items()}
    assert addresses["license_manager"] == "https://license-manager.example.org"
    assert addresses["lms"] == "https://courses.example.org"
    assert "discovery" not in addresses
    assert load_site(tmp_path / "openedx.site.yaml").usernames.discovery == "https://discovery.example.org"


def test_segment_gets_texts_in_the_given_order_and_no_word_for_nothing(tmp_path: Path) -> None:
    for name, also in (("thirteen_steps", True), ("vendors", False)):
        plan = imported(name, tmp_path, "--force")
        values = plan["steps"]["segment"]["request"]["json"]["attributes"]["values"]
        subject: dict[str, Any] = {"lms_user_id": 52, "username": "ann"}
        assert ("also" in plan["subject"]) is also
        if also:
            assert evaluate(values, {"subject": subject | {"tracking_id": None}}) == ["52", "ann"]
            assert evaluate(values, {"subject": subject | {"tracking_id": 7}}) == ["52", "ann", "7"]
        else:
            assert evaluate(values, {"subject": subject}) == ["52", "ann"]


def test_expressions_of_vendors_and_backends_tell_what_is_done(tmp_path: Path) -> None:
    steps = imported("vendors", tmp_path)["steps"]
    done = steps["backend"]["done_when"]
    answers = [{"one": True, "two": True}, {"one": True, "two": False}, None, {}]
    assert [holds(done, {"body": body}) for body in answers] == [True, False, True, True]
    finished = steps["amplitude"]["follow_up"]["done"]
    jobs = [[{"status": "done"}], [{"status": "done"}, {"status": "submitted"}], []]
    assert [holds(finished, {"body": body}) for body in jobs] == [True, False, False]
    day = steps["amplitude"]["save"]["day"]
    assert evaluate(day, {"body": {"day": "2026-03-01"}}) == evaluate(day, {"body": [{"day": "2026-03-01"}]})


def test_vendors_a_service_of_the_site_s_own_and_a_step_by_hand(tmp_path: Path) -> None:
    plan = imported("vendors", tmp_path)
    services, steps = plan["services"], plan["steps"]
    assert services["braze"]["base_url"] == "https://rest.iad-01.braze.com"
    assert services["hubspot"]["base_url"] == "https://api.eu1.hubapi.com"
    assert services["amplitude"]["auth"] == {
        "type": "basic",
        "username": "${env:OPENEDX_AMPLITUDE_API_KEY}",
        "password": "${env:OPENEDX_AMPLITUDE_SECRET_KEY}",
    }
    assert steps["extra"]["service"] == "library_cards"
    assert steps["extra"]["request"] == {
        "method": "POST",
        "path": "/api/retire/",
        "json": {"edx_lms_user_id": "{{ subject.lms_user_id }}"},
    }
    assert "request" not in steps["salesforce"] and steps["salesforce"]["manual"]
    assert {service["auth"].get("token_url") for service in services.values()} == {
        "https://login.example.org/oauth2/access_token",
        None,
    }
    assert services["lms"]["auth"]["client_id"] == "17"


def test_the_token_is_asked_for_below_the_path_of_the_lms(tmp_path: Path) -> None:
    lms = imported("one_step", tmp_path)["services"]["lms"]
    assert lms["base_url"] == "https://courses.example.org/campus"
    assert lms["auth"] == {
        "type": "oauth2_client_credentials",
        "token_url": "https://courses.example.org/campus/oauth2/access_token",
        "client_id": "retirement",
        "client_secret": "${env:OPENEDX_CLIENT_SECRET}",
        "scheme": "JWT",
        "credentials": "body",
        "form": {"token_type": "jwt"},
    }


def test_unknown_keys_are_kept_and_what_may_be_secret_among_them_is_not(tmp_path: Path) -> None:
    assert run_import(driver_file("warning--unknown-keys")).exit_code == ExitCode.OK
    assert kept(tmp_path) == {
        "base_urls": {"studio": "https://studio.example.org"},
        "colour": "blue",
        "limits": {"calls": 5, "api_key": "${env:OPENEDX_LIMITS_API_KEY}"},
        "monitoring": "${env:OPENEDX_MONITORING}",
    }


def test_partners_are_spelt_in_one_way(tmp_path: Path) -> None:
    document = {
        **yaml.safe_load(driver_file("thirteen_steps").read_text()),
        "org_partner_mapping": {"X": ["Cafe\u0301"]},
    }
    file = tmp_path / "driver.json"
    file.write_text(json.dumps(document))
    assert run_import(file).exit_code == ExitCode.OK
    site = load_site(tmp_path / "openedx.site.yaml")
    assert site.reports is not None and site.reports.partners == {"X": ("Caf\u00e9",)}


# Time.


def test_a_month_is_the_deadline_where_the_worst_case_fits(tmp_path: Path) -> None:
    plan = imported("thirteen_steps", tmp_path)
    assert (plan["deadline"], plan["cool_off"]["max"]) == ("gdpr", "14d")


def test_where_it_does_not_fit_the_deadline_is_the_shortest_that_does(tmp_path: Path) -> None:
    result = run_import(driver_file("four_steps"), "--cool-off-days", "30")
    plan = load_plan(tmp_path / "openedx.yaml")
    total = worst_case(plan, cool_off=plan.cool_off.duration).total
    assert not isinstance(plan.deadline, str)
    assert timedelta(0) <= plan.deadline - total < timedelta(days=1)
    told = f"the plan's deadline is {plan.deadline.days}d"
    assert [line for line in result.stdout.splitlines() if ": warning: " in line and told in line]
    assert plan.cool_off.max is None


# The command.


def test_the_driver_s_own_variables_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETIREMENT_CONFIG_FILE", str(driver_file("one_step")))
    monkeypatch.setenv("RETIREMENT_COOL_OFF_DAYS", "14")
    monkeypatch.setenv("USER_COUNT_ERROR_THRESHOLD", "20")
    monkeypatch.setenv("MAX_USER_BATCH_SIZE", "10")
    assert run_import().exit_code == ExitCode.OK
    site = load_site(tmp_path / "openedx.site.yaml")
    assert (site.cool_off_days, site.collect.guard, site.collect.batch) == (14, 20, 10)
    assert run_import("--cool-off-days", "3", "--force").exit_code == ExitCode.OK
    assert load_site(tmp_path / "openedx.site.yaml").cool_off_days == 3


def test_nothing_is_written_over_without_being_told_to(tmp_path: Path) -> None:
    assert run_import(driver_file("one_step")).exit_code == ExitCode.OK
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert run_import(driver_file("one_step")).exit_code == ExitCode.OK, "the same again is no change"
    result = run_import(driver_file("one_step"), "--cool-off-days", "9")
    assert result.exit_code == ExitCode.REFUSED
    assert result.stderr.startswith(
        "Error: openedx.yaml is there already, and says something else; nothing was written."
    )
    (tmp_path / "openedx.yaml").unlink()
    # The plan could be written now; the site's file is of before, and both belong together.
    assert run_import(driver_file("one_step"), "--cool-off-days", "9").exit_code == ExitCode.REFUSED
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == {
        file: raw for file, raw in before.items() if file.name != "openedx.yaml"
    }
    assert run_import(driver_file("one_step"), "--cool-off-days", "9", "--force").exit_code == ExitCode.OK


def test_names_of_plan_site_and_variables_are_ours_to_choose(tmp_path: Path) -> None:
    arguments = ("--site", "edge", "--prefix", "EDGE", "--out", str(tmp_path / "edge.yaml"), "--site-out", "s.yaml")
    result = run_import(driver_file("one_step"), *arguments)
    assert "EDGE_CLIENT_SECRET" in result.stderr
    assert load_plan(tmp_path / "edge.yaml").plan == "edge"
    site = load_site(tmp_path / "s.yaml")
    assert (site.site, site.plan) == ("edge", "edge")
    for wrong in (("--site", "No"), ("--out", "No.yaml"), ("--prefix", "no"), ("--cool-off-days", "-1")):
        assert run_import(driver_file("one_step"), *wrong).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("address", "id"),
    [
        ("https://courses.example.org", "courses"),
        ("https://My_Campus.example.org:8443/lms", "my_campus"),
        ("http://127.0.0.1:8000", "openedx"),
        ("https://[::1]/", "openedx"),
        ("https://4you.example.org", "openedx"),
    ],
)
def test_a_site_is_called_like_its_host(address: str, id: str) -> None:
    assert site_id_of(address) == id


_TEXTS = st.text(max_size=60) | st.sampled_from(["no", "Null", "1e3", "10:30", "0x1f", "- a", "# b", "a: b", "{{ x }}"])
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | _TEXTS,
    lambda data: st.lists(data, max_size=3) | st.dictionaries(_TEXTS, data, max_size=3),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text(min_size=1, max_size=20), _DATA, min_size=1, max_size=4))
def test_what_is_written_reads_back_as_it_was(data: dict[str, Any]) -> None:
    """By our own reader, and by everybody else's."""
    try:
        json.dumps(data).encode().decode("utf-8", "strict")
        "".join(map(str, _texts_in(data))).encode()
    except UnicodeEncodeError:
        return  # Half a character can't be in any file.
    text = write_yaml(data, heading="", comments={}, blocks=())
    document = read_yaml(text.encode())
    assert ([problem for problem in document.problems if problem.severity is Severity.ERROR], document.data) == (
        [],
        data,
    )
    assert yaml.safe_load(text) == data


def _texts_in(data: object) -> list[str]:
    match data:
        case dict():
            return [text for key, value in data.items() for text in (str(key), *_texts_in(value))]
        case list():
            return [text for value in data for text in _texts_in(value)]
    return [data] if isinstance(data, str) else []


def test_operators_are_mailed_and_learners_are_not(tmp_path: Path) -> None:
    out = tmp_path / "openedx.yaml"
    result = run_import(ROOT / "openedx" / "example_driver.yml", "--out", str(out), "--operators", "ops@example.org")
    assert result.exit_code == 0, result.output
    mail = load_plan(out).mail
    assert mail is not None and (mail.operators, mail.to_person) == (("ops@example.org",), False)
