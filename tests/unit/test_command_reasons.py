"""Why a retirement was aborted, as status, report and list say it: from the ledger alone, long after the run."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.keys import Keys
from ledger.ledger import Ledger
from starter.exit_codes import ExitCode
from starter.main import app
from starter.output import Output
from starter.starting import tell_result
from tests.support.ledgers import a_case
from workflows.messages import Result
from workflows.names import Outcome, Reason

_NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)

CASES = [
    (Reason.NOT_ELIGIBLE, "sole_admin, unpaid", "not_eligible: sole_admin, unpaid"),
    (Reason.LOOKUP_FAILED, "facts.admins:http_500", "lookup_failed: facts.admins:http_500"),
    (Reason.CLAIM_LOST, None, "claim_lost"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger and keys; nothing listens where Temporal is said to be."""
    for name in ("RETIREMENT_DEBUG", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RETIREMENT_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("RETIREMENT_KEYS_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    Keys.create(tmp_path / "keys.json")
    return tmp_path


def an_aborted_case(folder: Path, *, reason: Reason, code: str | None) -> str:
    """A case that went back and was closed."""

    async def write() -> str:
        ledger = Ledger(url=f"sqlite:///{folder / 'ledger.db'}", keys=Keys.load(folder / "keys.json"))
        try:
            await ledger.set_up()
            rid = (await a_case(ledger, now=_NOW)).retirement_id
            await ledger.move(
                retirement_id=rid, from_state="open", to_state="going_back", now=_NOW, reason=reason, code=code
            )
            end: dict[str, Any] = {"outcome": Outcome.ABORTED, "reason": reason, "direction": None, "messages": ()}
            await ledger.close_case(retirement_id=rid, now=_NOW + timedelta(days=1), **end)
            return rid
        finally:
            ledger.close()

    return asyncio.run(write())


def retire(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), prog_name="retire")
    assert result.exit_code == ExitCode.OK, result.output
    return result.stdout


@pytest.mark.parametrize(("reason", "code", "shown"), CASES)
def test_status_report_and_list_say_what_stood_in_the_way(
    folder: Path, reason: Reason, code: str | None, shown: str
) -> None:
    rid = an_aborted_case(folder, reason=reason, code=code)
    assert f"ABORTED ({shown})" in retire("status", rid)
    lines = [line.split(maxsplit=1) for line in retire("report", rid).splitlines() if line.startswith("reason")]
    assert lines == [["reason", shown]]
    heading, row = retire("list").splitlines()
    assert row[heading.index("reason") : heading.index("plan")].strip() == shown
    known: list[dict[str, Any]] = [json.loads(retire(command, rid, "--json")) for command in ("status", "report")]
    known += json.loads(retire("list", "--json"))["retirements"]
    assert [(facts["outcome"], facts["reason"], facts["code"]) for facts in known] == [("ABORTED", reason, code)] * 3


@pytest.mark.parametrize(("reason", "code", "shown"), CASES)
def test_a_start_that_waits_says_it_and_exits_as_aborted(
    capsys: pytest.CaptureFixture[str], reason: Reason, code: str | None, shown: str
) -> None:
    result = Result(outcome=Outcome.ABORTED, retirement_id="r-1", reason=reason, code=code)
    for as_json in (False, True):
        out = Output(as_json=as_json)
        assert tell_result(out, result, workflow_id="retire-user-u-1") is ExitCode.ABORTED
    line, _, facts = capsys.readouterr().out.partition("\n")
    assert line == f"ABORTED ({shown})  r-1"
    assert (json.loads(facts)["reason"], json.loads(facts)["code"]) == (reason, code)
