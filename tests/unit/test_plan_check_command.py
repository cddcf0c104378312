"""`retire plan check` as people and pipelines meet it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from starter.exit_codes import ExitCode
from starter.main import app

ROOT = Path(__file__).parents[2]
GALLERY = Path(__file__).parent / "bad_plans"
SANDBOX = ROOT / "plans" / "sandbox.yaml"
ERROR, WARNING = GALLERY / "unprobed.yaml", GALLERY / "no-operators.yaml"
HAS_PROBLEMS = 1


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine, and only the secrets that the gallery's plans ask for."""
    for name in ("FORUM_URL", "RETIREMENT_PLAN", "RETIREMENT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCOUNTS_URL", "https://accounts.acme.example")
    monkeypatch.setenv("ACCOUNTS_TOKEN", "t-1")
    monkeypatch.setenv("COLUMNS", "80")
    # Nobody listens there.
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["plan", "check", *map(str, arguments)], prog_name="retire")


def test_the_help_says_what_is_checked_and_how_it_ends() -> None:
    assert check("--help").output == (
        """\
Usage: retire plan check [OPTIONS] {FILE}...

  Tell everything that is wrong with plans. Each problem with its line, why it
  is one and how to mend it.

  Nothing is called, but for Temporal with --live. Exits 1 where a plan can't be
  used.

Arguments:
  FILE <list[Path]>  Plans, as YAML files.  [required]

Options:
  --strict      Exit 1 for warnings, too.
  --no-secrets  Leave out what this machine has to have: secrets, database
                drivers, Python packages. For a pipeline.
  --live        Also ask Temporal whether workers poll the queues that the plan
                needs.
  --json        Print the same facts as JSON.
  -h, --help    Show this message and exit.

  Example:
    retire plan check our-plans/acme.yaml

  Exit codes:
      0  done as asked
      1  a plan has errors; or an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
      9  Temporal or the ledger's database does not answer
     10  a setting, the keys file, the plan or the set-up is missing or wrong
"""
    )


def test_a_plan_that_is_fine_is_told_so_and_what_comes_next() -> None:
    result = check(SANDBOX, "--no-secrets")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, f"{SANDBOX}: fine\n")
    assert result.stderr == f"Next: `retire plan try {SANDBOX} --user ID` asks about one person, and changes nothing.\n"


def test_an_error_is_told_with_file_line_and_key_and_ends_with_1() -> None:
    result = check(ERROR)
    assert result.exit_code == HAS_PROBLEMS
    assert result.stdout == (
        f"{ERROR}:23: steps.profile: an erase step needs a probe, as a service's 200 is no proof; "
        "add probe: {request: …}, or say in unprobed why nobody can tell\n"
        f"1 error in {ERROR}\n"
    )
    assert result.stderr == ""


def test_a_warning_ends_with_0_and_with_strict_with_1() -> None:
    result = check(WARNING)
    assert result.exit_code == ExitCode.OK
    assert result.stdout.splitlines()[0].startswith(f"{WARNING}:10: warning: mail.operators: names nobody, so nobody")
    assert result.stdout.splitlines()[1:] == [f"1 warning in {WARNING}"]
    strict = check(WARNING, "--strict")
    assert (strict.exit_code, strict.stdout, strict.stderr) == (HAS_PROBLEMS, result.stdout, "")
    assert check(SANDBOX, "--no-secrets", "--strict").exit_code == ExitCode.OK


def test_several_files_are_told_in_order_each_once_with_a_summary_each(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    result = check(ERROR, missing, WARNING, ERROR)
    assert result.exit_code == HAS_PROBLEMS
    lines = result.stdout.splitlines()
    summaries = {missing: f"1 error in {missing}", WARNING: f"1 warning in {WARNING}", ERROR: f"1 error in {ERROR}"}
    told = [line for line in lines if " in " in line and line.startswith("1 ")]
    assert told == [summaries[file] for file in sorted(summaries)]
    assert f"{missing}: there is no such file; check the path" in lines


def test_lines_are_in_the_order_of_the_file_and_counted() -> None:
    result = check(GALLERY / "absent-codes.yaml", GALLERY / "six-mistakes.yaml")
    lines = result.stdout.splitlines()
    assert lines[6] == f"4 errors, 2 warnings in {GALLERY / 'absent-codes.yaml'}"
    assert lines[13] == f"6 errors in {GALLERY / 'six-mistakes.yaml'}"
    numbers = [int(line.removeprefix(f"{GALLERY / 'six-mistakes.yaml'}:").split(":")[0]) for line in lines[7:13]]
    assert numbers == sorted(numbers)


def test_this_machine_s_secrets_are_left_out_on_request() -> None:
    result = check(SANDBOX)
    assert result.exit_code == HAS_PROBLEMS
    assert "services.forum.base_url: ${env:FORUM_URL} isn't set here; set it, or check without" in result.stdout
    assert check(SANDBOX, "--no-secrets").exit_code == ExitCode.OK


def test_json_has_the_same_facts() -> None:
    result = check(ERROR, SANDBOX, "--no-secrets", "--json")
    assert (result.exit_code, result.stderr) == (HAS_PROBLEMS, "")
    good, bad = json.loads(result.stdout)["plans"]
    assert good == {"file": str(SANDBOX), "errors": 0, "warnings": 0, "problems": []}
    what = bad["problems"][0].pop("what")
    assert bad == {
        "file": str(ERROR),
        "errors": 1,
        "warnings": 0,
        "problems": [{"line": 23, "where": "steps.profile", "severity": "error", "check": "unprobed"}],
    }
    assert f":23: steps.profile: {what}\n" in check(ERROR).stdout


def test_a_temporal_that_doesn_t_answer_is_told_after_what_was_found() -> None:
    result = check(WARNING, "--live")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert result.stdout.splitlines()[-1] == f"1 warning in {WARNING}"
    assert result.stderr.startswith("Error: Temporal does not answer at 127.0.0.1:1.")
    as_json = check(WARNING, "--live", "--json")
    assert json.loads(as_json.stdout)["exit_code"] == ExitCode.UNREACHABLE


def test_without_a_file_it_says_how_it_is_used() -> None:
    result = check()
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.splitlines()[-1] == "Error: Missing argument 'FILE'."
