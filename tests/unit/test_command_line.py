"""The `retire` command as people meet it: its help, its errors, its exit codes. No server, no ledger."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from starter.commands import list_cases
from starter.exit_codes import ExitCode
from starter.main import app
from starter.options import read_instant
from starter.output import columns, show

_ROOT = Path(__file__).parents[2]
_COMMANDS = (
    "setup doctor worker conformance start status list rescind extend expedite decide resume report assets suggest"
    " transfer demo"
).split()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine, and nothing there but an empty folder."""
    for name in ("RETIREMENT_BY", "RETIREMENT_PLAN", "RETIREMENT_DEBUG", "RETIREMENT_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RETIREMENT_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("COLUMNS", "80")


def retire(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="retire")


def test_the_help_lists_commands_and_exit_codes() -> None:
    assert retire("--help").output == (
        """\
Usage: retire [OPTIONS] COMMAND [ARGS]...

  Retire accounts: start, watch, change and resume retirements, and show what
  became of them.

Options:
  -h, --help  Show this message and exit.

Commands:
  setup        Make what a worker needs.
  doctor       Look whether everything is ready.
  worker       Run a worker.
  conformance  Check a service with test users.
  start        Start the retirement of one person.
  status       Show where a retirement stands.
  list         List retirements from the ledger, newest first.
  rescind      Take a retirement back and restore the account.
  extend       Give the person a longer cool-off.
  expedite     End the cool-off now, where the plan allows it.
  decide       Decide about a step that is held.
  resume       Resume a retirement or a transfer that stopped before its end.
  report       Show the record of a retirement.
  assets       List what somebody owns.
  suggest      Suggest who could take over from somebody.
  transfer     Hand over what somebody owns to somebody else.
  demo         Show it all in a sandbox.
  plan         Check, show and try a plan.
  mail         List and preview the mails.
  work         What is still to be done by vendors and by hand.
  openedx      Retire learners of an Open edX site.

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
      3  no such retirement or transfer
      4  one of this person is running already
      5  refused; the answer says why
      6  recorded, not yet answered: no worker has taken it so far
      7  it ended ABORTED
      8  it ended ERRORED; it can be resumed
      9  Temporal or the ledger's database does not answer
     10  a setting, the keys file, the plan or the set-up is missing or wrong
     11  problems were found; each says how to mend it
    130  interrupted; what was started goes on
"""
    )


def test_the_help_of_a_command_says_units_defaults_an_example_and_exit_codes() -> None:
    assert retire("extend", "--help").output == (
        """\
Usage: retire extend [OPTIONS] {WHO}

  Give the person a longer cool-off. Up to the plan's max, by one of --until and
  --by-duration.

Arguments:
  WHO <str>  A user id, a retirement id (r-…), a transfer id (t-…) or a workflow
             id (retire-user-…).  [required]

Options:
  --until DATE                  The new end: a date (its end, UTC) or an instant
                                such as 2026-03-31T12:00:00+01:00.
  --by-duration DURATION        How much later than the present end (ms, s, m,
                                h, d, w), e.g. 7d.
  --tenant TENANT               The tenant of the user id. Default: none.
  --by ID                       Who asks: an opaque id, at most 64 characters,
                                no spaces, no @. Default: not recorded.  [env
                                var: RETIREMENT_BY]
  --reason-code, --reason CODE  Why, as a code: at most 64 characters, no
                                spaces, no @. Default: none.
  --json                        Print the same facts as JSON.
  -h, --help                    Show this message and exit.

  Example:
    retire extend u-4711 --by-duration 7d --by support-7

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
      3  no such retirement or transfer
      5  refused; the answer says why
      6  recorded, not yet answered: no worker has taken it so far
      9  Temporal or the ledger's database does not answer
     10  a setting, the keys file, the plan or the set-up is missing or wrong
    130  interrupted; what was started goes on
"""
    )


def test_the_help_of_transfer_says_what_is_meant_by_default() -> None:
    assert retire("transfer", "--help").output == (
        """\
Usage: retire transfer [OPTIONS]

  Hand over what somebody owns to somebody else. By the plan's transfer steps;
  nobody is retired.

Options:
  --from ID                     The user id of the owner, who may be gone
                                already.  [required]
  --to ID                       The user id of who takes over; the service that
                                owns the role is asked whether they may.
                                [required]
  --asset ID                    Hand over this asset. May be repeated. Default:
                                everything.
  --file FILE                   Hand over the assets of this file: an id a line,
                                or a CSV with a column `id`. Default:
                                everything.
  --subject NAME=VALUE          What is known of an owner who is gone, where the
                                plan asks for it, e.g. org=acme. May be
                                repeated.
  --tenant TENANT               The tenant of the user id. Default: none.
  --plan PLAN                   The plan's name. Default: RETIREMENT_PLAN.
  --by ID                       Who asks: an opaque id, at most 64 characters,
                                no spaces, no @. Default: not recorded.  [env
                                var: RETIREMENT_BY]
  --reason-code, --reason CODE  Why, as a code: at most 64 characters, no
                                spaces, no @. Default: none.
  --dry-run                     Ask the services what would be moved; write and
                                change nothing.
  --no-wait                     Start it, and don't wait for its end.
  --show-values                 Show titles, names and addresses, too; they are
                                people's data.
  --csv FILE                    Write the assets to this file as a table; an
                                older one is replaced. Default: none.
  --json                        Print the same facts as JSON.
  -h, --help                    Show this message and exit.

  Example:
    retire transfer --from u-4711 --to u-4712 --dry-run
    retire transfer --from u-4711 --to u-4712 --file assets.csv --by support-7

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
      4  one of this person is running already
      5  refused; the answer says why
      7  it ended ABORTED
      8  it ended ERRORED; it can be resumed
      9  Temporal or the ledger's database does not answer
     10  a setting, the keys file, the plan or the set-up is missing or wrong
     11  problems were found; each says how to mend it
    130  interrupted; what was started goes on
"""
    )


def test_the_help_of_plan_show_says_its_forms() -> None:
    assert retire("plan", "show", "--help").output == (
        """\
Usage: retire plan show [OPTIONS] {FILE}

  Show what a plan does. Phase by phase, and who is asked what; nothing is
  called and no secret is read.

Arguments:
  FILE <path>  The plan, a YAML file.  [required]

Options:
  --format <text|mermaid|json>  Text for people, a mermaid flowchart for a page,
                                or JSON. Default: text.
  --json                        Print the same facts as JSON.
  -h, --help                    Show this message and exit.

  Example:
    retire plan show our-plans/acme.yaml

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
     10  a setting, the keys file, the plan or the set-up is missing or wrong
"""
    )


def test_the_help_of_plan_schema_says_where_an_editor_finds_it() -> None:
    assert retire("plan", "schema", "--help").output == (
        """\
Usage: retire plan schema [OPTIONS]

  Print the JSON Schema of plans, for editors. They then complete keys, explain
  them and mark mistakes.

  An editor with the YAML language server takes it from a plan's first line:
    # yaml-language-server: $schema=plan.schema.json

Options:
  -h, --help  Show this message and exit.

  Example:
    retire plan schema > our-plans/plan.schema.json

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
"""
    )


def test_the_help_of_plan_try_says_that_nothing_is_changed() -> None:
    assert retire("plan", "try", "--help").output == (
        """\
Usage: retire plan try [OPTIONS] {FILE}

  Ask everything of a plan that only reads, about one person. Changes nothing;
  says how to mend what is wrong.

Arguments:
  FILE <path>  The plan, as a YAML file.  [required]

Options:
  --user ID          Whom to ask about: somebody who exists and has something at
                     every service, a test user for example.  [required]
  --tenant TENANT    The tenant of the user id. Default: none.
  --given FILE       The values that the plan names in `subject.given`, as a
                     JSON object; `-` reads them from standard input. Default:
                     none.
  --service SERVICE  Ask only what concerns this service. Default: all.
  --successor ID     Whom a start would name to take over. Default: the first of
                     the plan's candidates who will do.
  --ask-post         Also ask lookups, facts, lists and probes that by their
                     form may change something (POST, WITH, Python): the plan
                     says that they only read.
  --show-values      Show the person's values instead of •••; secrets never are
                     shown.
  --json             Print the same facts as JSON.
  -h, --help         Show this message and exit.

  Example:
    retire plan try our-plans/acme.yaml --user test-1

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
     11  problems were found; each says how to mend it
    130  interrupted; what was started goes on
"""
    )


def test_the_help_of_mail_preview_says_its_forms() -> None:
    assert retire("mail", "preview", "--help").output == (
        """\
Usage: retire mail preview [OPTIONS] {TEMPLATE}

  Show a mail with made-up values. Built as the worker builds it, from your
  templates where there are some.

Arguments:
  TEMPLATE <str>  The mail, for example complete.  [required]

Options:
  --locale TAG              The reader's language: de, de-AT, ar_EG. Default:
                            en.
  --out FILE                Where to write it; an older one is replaced.
                            Default: stdout.
  --format <eml|html|text>  The whole mail, as mail programs open it, or its
                            html or text alone. Default: eml.
  --json                    Print the same facts as JSON.
  -h, --help                Show this message and exit.

  Example:
    retire mail preview complete --locale ar --out complete.eml

  Exit codes:
      0  done as asked
      1  an unexpected error; RETIREMENT_DEBUG=1 shows its traceback
      2  an argument or option can't be used
     10  a setting, the keys file, the plan or the set-up is missing or wrong
     11  problems were found; each says how to mend it
"""
    )


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = retire(command, "--help")
    assert result.exit_code == 0
    assert "Example:\n" in result.output
    assert f"retire {command}" in result.output.split("Example:")[1].split("Exit codes:")[0]
    assert "--json" in result.output or command in ("worker", "demo")


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_option_says_something(command: str) -> None:
    group = typer.main.get_command(app)
    options = [p for p in group.commands[command].params if p.name != "help"]  # type: ignore[attr-defined]
    assert all(option.help for option in options), [option.name for option in options]


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom starter.main import app\n"
        "try: app(['start', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'temporalio', 'sqlalchemy', 'httpx', 'alembic', 'cryptography', 'jinja2', 'yaml', 'rich'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage:" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["rescind", "u-1", "--by", "ada@example.org"],
            "Invalid value for '--by' (env var: 'RETIREMENT_BY'): "
            "write an opaque id or code of 1 to 64 characters without spaces or @.",
        ),
        (
            ["expedite", "u-1", "--reason", "because she says so"],
            "Invalid value for '--reason-code' / '--reason': "
            "write an opaque id or code of 1 to 64 characters without spaces or @.",
        ),
        (
            ["start", "u-1", "--cool-off", "a fortnight"],
            "Invalid value for '--cool-off': "
            "not a duration; write a number and a unit (ms, s, m, h, d, w), for example 14d or 1h30m.",
        ),
        (["start", "a\nb"], "Invalid value: user_id: must be 1 to 512 printable characters."),
        (["start", "x" * 513], "Invalid value: user_id: must be 1 to 512 printable characters."),
        (
            ["transfer", "--from", "u-1", "--to", "u-2", "--subject", "org"],
            "Invalid value: --subject: write NAME=VALUE, for example org=acme.",
        ),
        (
            ["transfer", "--from", "u-1", "--to", "a\nb"],
            "Invalid value for '--to': write 1 to 512 printable characters.",
        ),
        (
            ["transfer", "--from", "u-1", "--to", "u-2", "--no-wait", "--csv", "x.csv"],
            "Invalid value: --csv is written at the end: leave out --no-wait, or see `retire assets`.",
        ),
        (["extend", "u-1"], "Invalid value: give one of --until and --by-duration."),
        (
            ["extend", "u-1", "--until", "2026-02-03", "--by-duration", "1d"],
            "Invalid value: give one of --until and --by-duration.",
        ),
        (
            ["extend", "u-1", "--until", "tomorrow"],
            "Invalid value for '--until': not a date; write 2026-03-31 (the end of that day, UTC) "
            "or 2026-03-31T12:00:00+01:00.",
        ),
        (
            ["resume", "u-1", "--skip", "forum", "--reason", "closed"],
            "Invalid value: a skipped step stays in the record under somebody's id: give --by ID.",
        ),
        (
            ["resume", "u-1", "--skip", "forum", "--by", "ops-3"],
            "Invalid value: give one --reason for each --skip, or one for all.",
        ),
    ],
)
def test_what_can_t_be_used_is_told_with_the_accepted_form(arguments: list[str], error: str) -> None:
    result = retire(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == f"Error: {error}"
    assert "ada@example.org" not in result.output
    assert "because she" not in result.output


def test_no_ledger_is_told_with_what_to_do_and_none_is_made(tmp_path: Path) -> None:
    result = retire("list")
    assert result.exit_code == ExitCode.NOT_SET_UP
    assert result.output == (
        f"Error: There is no ledger at {tmp_path / 'ledger.db'} yet. "
        "Run `retire setup`, or set RETIREMENT_DATABASE_URL to where it is.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_also_the_json_result(tmp_path: Path) -> None:
    result = retire("list", "--json")
    assert result.stdout == (
        '{\n  "error": "There is no ledger at '
        f"{tmp_path / 'ledger.db'} yet. Run `retire setup`, or set RETIREMENT_DATABASE_URL to where it is."
        '",\n  "exit_code": 10\n}\n'
    )


def test_a_setting_that_can_t_be_used_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETIREMENT_SMTP_PORT", "s3cret")
    result = retire("list")
    assert result.exit_code == ExitCode.NOT_SET_UP
    assert result.output.startswith("Error: RETIREMENT_SMTP_PORT: ")
    assert len(result.output.splitlines()) == 1
    assert "s3cret" not in result.output


def test_an_unexpected_error_is_one_line_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("ada@example.org")

    monkeypatch.setattr(list_cases, "read_settings", broken)
    result = retire("list")
    assert result.exit_code == ExitCode.UNEXPECTED
    assert result.stderr.startswith("Error: Unexpected RuntimeError in tests/unit/test_command_line.py:")
    assert result.stderr.endswith("Run it again with RETIREMENT_DEBUG=1 for the traceback, and report it.\n")
    assert len(result.stderr.splitlines()) == 1
    assert "ada@example.org" not in result.output
    monkeypatch.setenv("RETIREMENT_DEBUG", "1")
    result = retire("list")
    assert result.exit_code == ExitCode.UNEXPECTED
    assert "Traceback (most recent call last)" in result.stderr


def test_the_process_ends_with_the_exit_code_and_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "starter.main", "list"], cwd=_ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == ExitCode.NOT_SET_UP
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1


def test_every_exit_code_is_its_own_and_has_a_meaning() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130]
    assert all(code.meaning for code in ExitCode)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-31", datetime(2026, 4, 1, tzinfo=UTC)),
        ("2026-03-31T12:00:00", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("2026-03-31T12:00:00+01:00", datetime(2026, 3, 31, 11, tzinfo=UTC)),
    ],
)
def test_a_date_means_its_end(text: str, instant: datetime) -> None:
    assert read_instant(text) == instant


def test_nothing_printed_can_redraw_a_terminal() -> None:
    assert show("a\x1b[2Jb\u202ec") == "a\\u001b[2Jb\\u202ec"
    assert show(timedelta(days=14)) == "14d"


def test_columns_are_aligned_without_trailing_spaces() -> None:
    assert columns([("a", "long"), ("名前", None)], heading=("x", "y")) == ["x     y", "a     long", "名前  -"]
