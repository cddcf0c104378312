"""What commands show from the ledger alone: a file database, no server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.rows import Asset, Case, StoredPlan
from starter.exit_codes import ExitCode
from starter.forecast import answer_to
from starter.main import app
from workflows.messages import MessageRow, Skip, Start, StepOutcome
from workflows.names import AssetResult, Direction, Outcome, Reason, StepResult, workflow_id

_NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)
_PLAN = """\
plan: acme
subject:
  lookup: {service: accounts, request: {method: GET, path: "/users/{{ user_id }}"}, fields: {email: "{{ body.email }}"}}
cool_off: {duration: 14d, reminders: [7d, 1d]}
mail: {from: accounts@acme.example}
services:
  accounts: {base_url: "${env:NOT_SET_HERE}"}
steps:
  lock:
    phase: freeze
    service: accounts
    request: {method: POST, path: "/users/{{ user_id }}/lock"}
    undo: {request: {method: POST, path: "/users/{{ user_id }}/unlock"}}
  invoices: {phase: erase, retain: {ground: "tax law", for: 3650d}}
  profile:
    phase: erase
    after: [invoices]
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}"}
    absent: [404]
    absent_unchecked: the lookup has seen the person
    unprobed: nothing of the account can be read
"""
_STORED = StoredPlan(
    digest="d" * 64,
    name="acme",
    format=1,
    document={"steps": {"lock": {"phase": "freeze"}, "invoices": {"phase": "erase"}, "profile": {"phase": "erase"}}},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger, keys and a plan; nothing listens where Temporal is said to be."""
    for name in ("RETIREMENT_BY", "RETIREMENT_DEBUG", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RETIREMENT_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("RETIREMENT_KEYS_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("RETIREMENT_PLANS_DIR", str(tmp_path))
    monkeypatch.setenv("RETIREMENT_PLAN", "acme")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    (tmp_path / "acme.yaml").write_text(_PLAN)
    keys = Keys.create(tmp_path / "keys.json")
    in_ledger(tmp_path, lambda ledger: ledger.set_up(), keys=keys)
    return tmp_path


def in_ledger(folder: Path, work: Callable[[Ledger], Awaitable[Any]], *, keys: Keys | None = None) -> Any:
    """Do something in the ledger of a folder."""

    async def run() -> Any:
        ledger = Ledger(url=f"sqlite:///{folder / 'ledger.db'}", keys=keys or Keys.load(folder / "keys.json"))
        try:
            return await work(ledger)
        finally:
            ledger.close()

    return asyncio.run(run())


def a_case(folder: Path, *, user_id: str = "u-1", tenant: str | None = None, **changes: Any) -> Case:
    """A case of that person, as a run opens it."""
    start = Start(user_id=user_id, tenant=tenant, **changes)

    async def open_it(ledger: Ledger) -> Case:
        opening = await ledger.open_case(
            start=start,
            workflow_id=workflow_id(user_id=user_id, tenant=tenant),
            run_key="run-1",
            now=_NOW,
            plan=_STORED,
            hosts={},
            cool_off_ends_at=_NOW + timedelta(days=14),
            due_at=datetime(2026, 2, 28, 12, tzinfo=UTC),
            holders=("run", "mail"),
        )
        assert opening.case is not None
        return opening.case

    case: Case = in_ledger(folder, open_it)
    return case


def close(folder: Path, case: Case, outcome: Outcome, *, reason: Reason | None = None) -> None:
    """End a case."""

    async def close_it(ledger: Ledger) -> None:
        id = case.retirement_id
        if outcome is not Outcome.ABORTED:
            await ledger.move(retirement_id=id, from_state="open", to_state="past_return", now=_NOW)
        else:
            await ledger.move(retirement_id=id, from_state="open", to_state="going_back", now=_NOW, reason=reason)
        direction = Direction.FORWARD if outcome is Outcome.ERRORED else None
        await ledger.close_case(
            retirement_id=id,
            outcome=outcome,
            reason=reason,
            direction=direction,
            now=_NOW + timedelta(days=14),
            messages=(),
        )

    in_ledger(folder, close_it)


def retire(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="retire")


def test_a_dry_run_shows_all_and_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return _NOW

    monkeypatch.setattr("starter.commands.start.datetime", Frozen)
    before = (folder / "ledger.db").read_bytes()
    result = retire("start", "u-1", "--dry-run")
    digest = json.loads(retire("start", "u-1", "--dry-run", "--json").stdout)["plan_digest"]
    assert result.stderr == ""
    assert result.stdout == (
        """\
would start  retire-user-u-1
the ledger   opens a new case
plan         acme (DIGEST)
looked up    accounts: GET /users/{{ user_id }}
cool-off     14d, ends 2026-02-13 12:00:00 UTC
due          2026-02-28 12:00:00 UTC

phase   step      service   does                            after     undo                              probe
freeze  lock      accounts  POST /users/{{ user_id }}/lock  -         POST /users/{{ user_id }}/unlock  no
erase   invoices  -         keeps: tax law, for 3650d       -         -                                 no
erase   profile   accounts  DELETE /users/{{ user_id }}     invoices  -                                 no

mail      when
received  2026-01-30 12:00:00 UTC
reminder  2026-02-06 12:00:00 UTC
reminder  2026-02-12 12:00:00 UTC
complete  at the end

Nothing was written or called.
"""
    ).replace("DIGEST", digest[:12])
    assert (folder / "ledger.db").read_bytes() == before


def test_a_dry_run_works_before_any_set_up(folder: Path) -> None:
    (folder / "ledger.db").unlink()
    result = retire("start", "u-1", "--dry-run")
    assert result.exit_code == ExitCode.OK
    assert "the ledger   not known: there is no ledger yet (`retire setup`)" in result.stdout.splitlines()
    assert not (folder / "ledger.db").exists()


def test_a_dry_run_says_that_the_cool_off_is_too_long_for_the_law(folder: Path) -> None:
    assert "(after the legal deadline!)" in retire("start", "u-1", "--dry-run", "--cool-off", "40d").stdout


def test_a_dry_run_tells_what_is_wrong_with_the_plan(folder: Path) -> None:
    (folder / "acme.yaml").write_text(_PLAN.replace("absent:", "abzent:"))
    result = retire("start", "u-1", "--dry-run")
    assert result.exit_code == ExitCode.NOT_SET_UP
    assert result.stderr.startswith(f"Error: {folder / 'acme.yaml'}:")
    assert len(result.stderr.splitlines()) == 1


def test_a_dry_run_names_the_case_in_the_way(folder: Path) -> None:
    case = a_case(folder)
    result = retire("start", "u-1", "--dry-run")
    assert f"refused (already_running): {case.retirement_id} is going on" in result.stdout
    assert json.loads(retire("start", "u-1", "--dry-run", "--json").stdout)["answer"] == "already_running"


@pytest.mark.parametrize(
    ("outcome", "start", "answer"),
    [
        (None, {}, "already_running"),
        (Outcome.ERRORED, {}, "errored_before"),
        (Outcome.COMPLETE, {}, "already_complete"),
        (Outcome.COMPLETE, {"again": True}, "opens_a_case"),
        (Outcome.COMPLETE, {"again": True, "request_id": "q-1"}, "duplicate_request"),
        (Outcome.ABORTED, {}, "opens_a_case"),
        (Outcome.ABORTED, {"request_id": "q-2"}, "opens_a_case"),
        (Outcome.ABORTED, {"request_id": "q-1"}, "duplicate_request"),
    ],
)
def test_the_forecast_is_what_the_ledger_answers(
    folder: Path, outcome: Outcome | None, start: dict[str, Any], answer: str
) -> None:
    case = a_case(folder, request_id="q-1")
    if outcome is not None:
        close(folder, case, outcome, reason=Reason.RESCINDED if outcome is Outcome.ABORTED else None)
    wanted = Start(user_id="u-1", **start)
    known = in_ledger(folder, lambda ledger: ledger.find(user_id="u-1", tenant=None))
    assert answer_to(wanted, case=known) == answer

    async def ask(ledger: Ledger) -> Reason | None:
        opening = await ledger.open_case(
            start=wanted,
            workflow_id=workflow_id(user_id="u-1"),
            run_key="run-2",
            now=_NOW + timedelta(days=20),
            plan=_STORED,
            hosts={},
            cool_off_ends_at=_NOW,
            due_at=_NOW,
            holders=("run",),
        )
        return opening.refused

    assert (in_ledger(folder, ask) or "opens_a_case") == answer


def test_the_report_tells_everything_and_nothing_personal(folder: Path) -> None:
    case = a_case(folder, user_id="ada-lovelace", request_id="q-1", requested_by="app")
    id = case.retirement_id

    async def record(ledger: Ledger) -> None:
        await ledger.store_subject(retirement_id=id, values={"email": "ada@example.org"}, present=("profile",))
        await ledger.record_outcomes(
            id,
            [
                StepOutcome(step="lock", result=StepResult.DONE, at=_NOW),
                StepOutcome(
                    step="invoices",
                    result=StepResult.RETAINED,
                    code="tax_law",
                    until=_NOW + timedelta(days=3650),
                    at=_NOW,
                ),
                StepOutcome(step="profile", result=StepResult.SKIPPED, code="vendor_closed", by="ops-3", at=_NOW),
            ],
        )
        await ledger.record_messages(
            retirement_id=id,
            messages=[MessageRow(kind="rescind", accepted=False, code="past_return", at=_NOW, by="support-7")],
        )
        await ledger.record_mail(
            retirement_id=id, mail="received", number="", result="sent", code=None, at=_NOW, release="mail"
        )

    in_ledger(folder, record)
    close(folder, case, Outcome.COMPLETE)
    result = retire("report", id)
    assert result.exit_code == ExitCode.OK
    assert result.stdout == (
        f"""\
retirement         {id}
outcome            COMPLETE
reason             -
resumes            -
state              closed
plan               acme
plan digest        {"d" * 64}
requested          2026-01-30 12:00:00 UTC
requested by       app
requested because  -
due                2026-02-28 12:00:00 UTC
closed             2026-02-13 12:00:00 UTC
in time            yes
values shredded    2026-02-13 12:00:00 UTC
erased             -
absent             -
scrubbed           -
retained           invoices
skipped            profile
unverified         -
failed             -

step      result    service  code           detail  at                       until                    by
invoices  retained  -        tax_law        -       2026-01-30 12:00:00 UTC  2036-01-28 12:00:00 UTC  -
lock      done      -        -              -       2026-01-30 12:00:00 UTC  -                        -
profile   skipped   -        vendor_closed  -       2026-01-30 12:00:00 UTC  -                        ops-3

mail      result  code  at
received  sent    -     2026-01-30 12:00:00 UTC

message  accepted  code         at                       by         reason code
rescind  no        past_return  2026-01-30 12:00:00 UTC  support-7  -
"""
    )
    as_json = retire("report", id, "--json").stdout
    assert json.loads(as_json)["skipped"] == ["profile"]
    assert not {word for word in ("lovelace", "example.org") if word in result.output + as_json}


def test_what_became_of_assets_is_told_by_number_and_one_by_one_to_who_asks(folder: Path) -> None:
    case = a_case(folder)
    id = case.retirement_id

    async def hand_over(ledger: Ledger) -> None:
        listed = [Asset(id=f"d-{number}", type="page", title=f"Secret {number}") for number in range(3)]
        await ledger.note_assets(retirement_id=id, step="lock", inventory=1, listed=listed)
        moved, refused, _ = await ledger.assets(id)
        results = {moved.key: (AssetResult.MOVED, None), refused.key: (AssetResult.REFUSED, "http_422")}
        await ledger.record_assets(retirement_id=id, step="lock", results=results)
        await ledger.record_outcomes(id, [StepOutcome(step="lock", result=StepResult.TRANSFERRED, at=_NOW)])

    in_ledger(folder, hand_over)
    for command in ("report", "status"):
        told = retire(command, id)
        assert "assets" in told.stdout and "1 moved, 1 refused, 1 waiting" in told.stdout, told.output
        assert "Secret" not in told.stdout and "d-1" not in told.stdout
    report = json.loads(retire("report", id, "--json").stdout)
    assert report["transferred"] == ["lock"]
    assert report["steps"][0]["assets"] == {"moved": 1, "refused": 1, "waiting": 1}
    assert retire("assets", id).stdout == (
        """\
asset  step  type  result   code
d-0    lock  page  moved    -
d-1    lock  page  refused  http_422
d-2    lock  page  waiting  -
"""
    )
    assert "Secret 1" in retire("assets", id, "--show-values").stdout
    close(folder, case, Outcome.COMPLETE)
    in_ledger(folder, lambda ledger: ledger.let_go(retirement_id=id, holder="mail", now=_NOW))
    gone = retire("assets", id)
    assert (gone.exit_code, "its values are shredded" in gone.stderr) == (ExitCode.NOT_FOUND, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["assets", "u-1"], ExitCode.NOT_SET_UP, "can't be asked from here: ${env:NOT_SET_HERE} can't be resolved"),
        (["transfer", "--from", "u-1", "--to", "u-2"], ExitCode.USAGE, "Plan acme hands over nothing"),
        (["assets", "t-abcdefghijklmnopqrstuvwxyz"], ExitCode.NOT_FOUND, "There is no retirement of t-abc"),
        (["suggest", "u-1", "--policy", "boss"], ExitCode.USAGE, "plan acme has none of this name; known: none"),
    ],
)
def test_what_can_t_be_asked_is_told_with_what_to_do(
    folder: Path, arguments: list[str], code: ExitCode, told: str
) -> None:
    result = retire(*arguments)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output


def test_a_retirement_that_has_handed_over_can_t_go_back(folder: Path) -> None:
    case = a_case(folder)
    id = case.retirement_id
    outcome = StepOutcome(step="boards", result=StepResult.TRANSFERRED, at=_NOW)
    in_ledger(folder, lambda ledger: ledger.record_outcomes(id, [outcome]))
    close(folder, case, Outcome.ERRORED)
    back = retire("resume", id, "--abort")
    assert back.exit_code == ExitCode.REFUSED
    assert f"{id} can't go back: boards took effect, or may have." in back.stderr


def test_status_after_the_history_has_expired_is_the_ledgers(folder: Path) -> None:
    case = a_case(folder)
    close(folder, case, Outcome.COMPLETE)
    result = retire("status", case.retirement_id)
    assert result.exit_code == ExitCode.OK
    assert result.stderr == ""
    assert result.stdout == (
        f"""\
retirement        {case.retirement_id}
workflow          -
phase             closed
outcome           COMPLETE
plan              acme
requested         2026-01-30 12:00:00 UTC
cool-off ends     2026-02-13 12:00:00 UTC
due               2026-02-28 12:00:00 UTC
may be rescinded  no
told by           ledger
"""
    )


@pytest.mark.parametrize("who", ["u-1", "retire-user-u-1"])
def test_status_without_temporal_is_the_ledgers_and_says_so(folder: Path, who: str) -> None:
    case = a_case(folder)
    result = retire("status", who, "--json")
    assert result.stderr == "Note: Temporal does not answer; this is what the ledger knows.\n"
    facts = json.loads(result.stdout)
    assert (facts["retirement_id"], facts["told_by"], facts["run"]) == (case.retirement_id, "ledger", None)


def test_a_workflow_id_with_a_tenant_is_understood(folder: Path) -> None:
    case = a_case(folder, user_id="u-1", tenant="shop-eu")
    for who in (["u-1", "--tenant", "shop-eu"], ["retire-user-shop-eu-u-1"]):
        assert json.loads(retire("status", *who, "--json").stdout)["retirement_id"] == case.retirement_id


def test_nobody_known_is_told_apart_from_nobody_asked(folder: Path) -> None:
    result = retire("status", "u-2")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert result.stderr.splitlines()[-1] == (
        "Error: The ledger knows no retirement of u-2, and Temporal could not be asked. "
        "See that Temporal runs and that TEMPORAL_ADDRESS points to it."
    )
    assert retire("report", "u-2").exit_code == ExitCode.NOT_FOUND


def test_the_list_shows_the_newest_first_and_filters(folder: Path) -> None:
    assert retire("list").stdout == "No retirements.\n"
    live, ended = a_case(folder, user_id="u-1"), a_case(folder, user_id="u-2")
    close(folder, ended, Outcome.ABORTED, reason=Reason.RESCINDED)
    assert {r["retirement_id"] for r in json.loads(retire("list", "--json").stdout)["retirements"]} == {
        live.retirement_id,
        ended.retirement_id,
    }
    assert retire("list", "--outcome", "aborted").stdout == (
        f"""\
retirement                    state   outcome  reason     plan  requested                cool-off ends            due                      closed
{ended.retirement_id}  closed  ABORTED  rescinded  acme  2026-01-30 12:00:00 UTC  2026-02-13 12:00:00 UTC  2026-02-28 12:00:00 UTC  2026-02-13 12:00:00 UTC
"""  # noqa: E501 - the output as it is
    )
    assert live.retirement_id in retire("list", "--live").stdout
    assert ended.retirement_id not in retire("list", "--live").stdout
    assert retire("list", "--limit", "1").stderr == "There may be more than these 1; see --limit.\n"


def test_rescinding_what_is_complete_is_refused_with_what_is_gone(folder: Path) -> None:
    case = a_case(folder)
    erased = StepOutcome(step="profile", result=StepResult.ERASED, at=_NOW)
    in_ledger(folder, lambda ledger: ledger.record_outcomes(case.retirement_id, [erased]))
    close(folder, case, Outcome.COMPLETE)
    result = retire("rescind", case.retirement_id)
    assert result.exit_code == ExitCode.REFUSED
    assert result.stdout == (
        f"rescind: refused (past_return). {case.retirement_id} ended COMPLETE on 2026-02-13 12:00:00 UTC.\n"
        "gone already: profile\n"
    )


def test_what_is_rescinded_already_needs_nothing(folder: Path) -> None:
    case = a_case(folder)
    close(folder, case, Outcome.ABORTED, reason=Reason.RESCINDED)
    result = retire("rescind", case.retirement_id)
    assert result.exit_code == ExitCode.OK
    assert "nothing to do (already_rescinded)" in result.stdout


@pytest.mark.parametrize(
    ("outcome", "arguments", "code", "error"),
    [
        (Outcome.COMPLETE, (), ExitCode.REFUSED, "only one that stopped before its end can be resumed."),
        (Outcome.ERRORED, ("--abort",), ExitCode.REFUSED, "can't go back: profile took effect, or may have."),
    ],
)
def test_what_can_t_be_resumed_is_refused_with_why(
    folder: Path, outcome: Outcome, arguments: tuple[str, ...], code: ExitCode, error: str
) -> None:
    case = a_case(folder)
    erased = StepOutcome(step="profile", result=StepResult.ERASED, at=_NOW)
    in_ledger(folder, lambda ledger: ledger.record_outcomes(case.retirement_id, [erased]))
    close(folder, case, outcome)
    result = retire("resume", case.retirement_id, *arguments)
    assert result.exit_code == code
    assert error in result.stderr


def test_a_lost_keys_file_is_never_replaced(folder: Path) -> None:
    a_case(folder)
    (folder / "keys.json").unlink()
    result = retire("setup")
    assert result.exit_code == ExitCode.NOT_SET_UP
    assert f"The ledger belongs to a keys file that is not at {folder / 'keys.json'}." in result.stderr
    assert not (folder / "keys.json").exists()


def test_skips_are_paired_with_their_reasons() -> None:
    from starter.commands.resume import _skips_of

    assert _skips_of(["a", "b"], reasons=["x", "y"], by="ops-3") == (
        Skip(step="a", by="ops-3", reason_code="x"),
        Skip(step="b", by="ops-3", reason_code="y"),
    )
    assert [skip.reason_code for skip in _skips_of(["a", "b"], reasons=["x"], by="ops-3")] == ["x", "x"]
