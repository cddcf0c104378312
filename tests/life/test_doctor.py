"""`retire doctor` against a real Temporal server, real workers, a real ledger and a real mail server."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from starter.doctor.here import Check, State, check_up
from starter.exit_codes import ExitCode
from starter.output import Output
from starter.rates import fairness
from tests.support.commands import Retire, a_shell, settings_in
from tests.support.plans import PlanDocument, a_plan
from tests.support.stage import Stage
from workflows.names import CALLS_QUEUE, QUEUE

#: Whatever is right, in the order in which it is looked at.
_ALL = [
    "settings",
    "keys file",
    "ledger",
    "plan sandbox",
    "secrets of sandbox",
    "mail server",
    "Temporal",
    "server version",
    "namespace",
    "clock",
    f"queue {QUEUE}",
    f"queue {CALLS_QUEUE}",
    "rates",
]


@dataclass(frozen=True, kw_only=True)
class Practice:
    """A doctor with plans of their own, beside the stage's worker."""

    plans: Path
    settings: Mapping[str, str]

    def plan(self, name: str, change: Callable[[PlanDocument], None] | None = None) -> None:
        """Write a plan."""
        a_plan(self.plans, name, change)

    def retire(self, **overrides: str) -> Retire:
        """The command, with some settings otherwise."""
        return a_shell({**self.settings, **overrides})

    async def states(self, *, ends_with: ExitCode, **overrides: str) -> dict[str, Check]:
        """What the doctor says of each thing, apart from what is all right. Looked at from this process, which is quicker."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.settings, **overrides}.items():
                patch.setenv(name, value)
            found = await check_up(out=Output(as_json=True))
        assert found.code == ends_with, found
        return {check.name: check for check in found.checks if check.state is not State.OK}


@pytest.fixture
async def practice(stage: Stage, tmp_path: Path) -> AsyncIterator[Practice]:
    """Everything is right."""
    await stage.ledger.set_up()
    address = stage.client.service_client.config.target_host
    folder = stage.settings.keys_file.parent
    settings = settings_in(folder, address=address, namespace=stage.client.namespace)
    plans = tmp_path / "plans"
    yield Practice(plans=plans, settings={**settings, **stage.sandbox.environment, "RETIREMENT_PLANS_DIR": str(plans)})


async def test_where_all_is_right_each_thing_is_told_to_be_so(practice: Practice) -> None:
    practice.plan("sandbox")
    ended = await practice.retire()("doctor")
    assert (ended.code, ended.stderr) == (ExitCode.OK, "")
    lines = ended.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ok"] * len(_ALL)
    assert all(name in line for name, line in zip(_ALL, lines, strict=True))
    facts = (await practice.retire()("doctor", "--json")).facts
    assert [check["name"] for check in facts["checks"]] == _ALL
    assert facts["left_out"] == []


async def test_where_nothing_is_there_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    retire = a_shell({**settings_in(tmp_path, address="127.0.0.1:1", namespace="default")})
    ended = await retire("doctor", "--json")
    assert ended.code == ExitCode.PROBLEMS
    checks = {check["name"]: check for check in ended.facts["checks"]}
    assert {name: check["state"] for name, check in checks.items()} == {
        "settings": "ok",
        "keys file": "problem",
        "plan sandbox": "problem",
        "Temporal": "problem",
    }
    assert "`retire setup` makes one" in checks["keys file"]["told"]
    assert "RETIREMENT_PLANS_DIR" in checks["plan sandbox"]["do"]
    assert "TEMPORAL_ADDRESS" in checks["Temporal"]["told"]
    assert ended.facts["left_out"] == [
        *("ledger", "secrets", "mail server"),
        *("server version", "namespace", "clock", "queues", "rates"),
    ]
    assert "Not looked at for now: ledger, " in ended.stderr
    assert os.listdir(tmp_path) == []


async def test_a_setting_that_can_t_be_used_ends_the_look(practice: Practice) -> None:
    ended = await practice.retire(RETIREMENT_SMTP_PORT="s3cret")("doctor", "--json")
    assert ended.code == ExitCode.PROBLEMS
    [check] = ended.facts["checks"]
    assert (check["name"], check["state"]) == ("settings", "problem")
    assert "RETIREMENT_SMTP_PORT" in check["told"]
    assert "s3cret" not in ended.stdout + ended.stderr


async def test_a_ledger_of_other_keys_is_found_out(practice: Practice, tmp_path: Path) -> None:
    practice.plan("sandbox")
    other = {
        "RETIREMENT_KEYS_FILE": str(tmp_path / "other-keys.json"),
        "RETIREMENT_DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}",
    }
    assert (await practice.retire(**other)("setup")).code == ExitCode.OK
    keys = {"RETIREMENT_KEYS_FILE": other["RETIREMENT_KEYS_FILE"]}
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS, **keys)
    assert list(wrong) == ["ledger"]
    assert "another subject key" in wrong["ledger"].told


async def test_a_broken_plan_is_told_with_its_line_beside_those_that_can_be_used(practice: Practice) -> None:
    practice.plan("sandbox")
    (practice.plans / "broken.yaml").write_text("plan: broken\nsteps: [s3cret]\n")
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS)
    assert list(wrong) == ["plan broken"]
    assert f"{practice.plans / 'broken.yaml'}:2: steps" in wrong["plan broken"].told
    assert "s3cret" not in wrong["plan broken"].told
    set_up = await practice.retire()("setup")
    assert set_up.code == ExitCode.OK
    assert set_up.stderr.startswith("Note: the rates of plan broken are left as they are, as it can't be used: ")


async def test_a_secret_that_is_missing_is_named_but_only_warned_of_where_other_workers_need_it(
    practice: Practice,
) -> None:
    def elsewhere(document: PlanDocument) -> None:
        document["services"]["forum"] |= {"queue": "inner", "auth": {"type": "bearer", "token": "${file:/run/no/such}"}}

    practice.plan("sandbox", elsewhere)
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS)
    assert wrong["secrets of sandbox"].state is State.WARNING
    assert wrong["secrets of sandbox"].told == "can't be resolved on this machine: ${file:/run/no/such}"

    def here(document: PlanDocument) -> None:
        document["steps"]["lock"]["request"]["query"] = {"key": "${env:RETIREMENT_TEST_NO_SUCH}"}

    practice.plan("sandbox", here)
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS)
    assert list(wrong) == ["secrets of sandbox"]
    assert wrong["secrets of sandbox"].state is State.PROBLEM
    assert "${env:RETIREMENT_TEST_NO_SUCH}" in wrong["secrets of sandbox"].told


async def test_a_mail_server_that_is_down_is_told_where_a_plan_sends_mail(practice: Practice) -> None:
    practice.plan("sandbox")
    down = {"RETIREMENT_SMTP_HOST": "127.0.0.1", "RETIREMENT_SMTP_PORT": "1"}
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS, **down)
    assert list(wrong) == ["mail server"]
    assert wrong["mail server"].told == "127.0.0.1:1 does not take us (smtp_unreachable)"
    practice.plan("sandbox", lambda document: document.pop("mail"))
    assert await practice.states(ends_with=ExitCode.OK, **down) == {}


async def test_a_queue_that_nobody_polls_is_named(practice: Practice) -> None:
    practice.plan("sandbox", lambda document: document["services"]["forum"].update(queue="inner"))
    inner = f"queue {CALLS_QUEUE}-inner"
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS)
    assert list(wrong) == [inner]
    assert "inner among RETIREMENT_QUEUES" in wrong[inner].do
    namespace = {"TEMPORAL_NAMESPACE": f"no-workers-{os.getpid()}"}
    assert (await practice.retire(**namespace)("setup")).code == ExitCode.OK
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS, **namespace)
    assert list(wrong) == [f"queue {QUEUE}", f"queue {CALLS_QUEUE}", inner]
    assert wrong[f"queue {QUEUE}"].told == "no worker polls it for workflows"
    assert "retire worker" in wrong[f"queue {QUEUE}"].do


async def test_a_namespace_that_is_not_there_is_told_with_what_makes_it(practice: Practice) -> None:
    practice.plan("sandbox")
    wrong = await practice.states(ends_with=ExitCode.PROBLEMS, TEMPORAL_NAMESPACE="not-there")
    assert list(wrong) == ["namespace"]
    assert wrong["namespace"].told == "namespace not-there is not there; run: retire setup"


async def test_rates_that_are_not_held_are_a_problem_and_a_server_without_fairness_a_warning(
    practice: Practice,
) -> None:
    def limited(document: PlanDocument) -> None:
        document["services"]["newsletter"]["limits"] = {"rate": "20/s"}

    practice.plan("sandbox", limited)
    try:
        wrong = await practice.states(ends_with=ExitCode.PROBLEMS)
        assert {name: check.state for name, check in wrong.items()} == {
            # The vendor is polled once a second.
            "rates": State.WARNING,
            f"rates on {CALLS_QUEUE}": State.PROBLEM,
            "fairness": State.WARNING,
        }
        assert wrong[f"rates on {CALLS_QUEUE}"].told == "newsletter: 20/s is not held"
        assert wrong["fairness"].do == fairness.TURN_ON
        set_up = await practice.retire()("setup")
        assert set_up.code == ExitCode.OK
        assert f"Note: {fairness.OFF}." in set_up.stderr
        wrong = await practice.states(ends_with=ExitCode.OK)
        assert list(wrong) == ["rates", "fairness"]
    finally:
        # Others use this server, too.
        practice.plan("sandbox")
        assert (await practice.retire()("setup")).code == ExitCode.OK
    assert await practice.states(ends_with=ExitCode.OK) == {}
