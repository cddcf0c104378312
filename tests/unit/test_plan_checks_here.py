"""What a plan needs of the machine that it is checked on: drivers and installed code."""

from pathlib import Path

import pytest

from plans.loading import check_plan

PLAN = """\
plan: acme
subject:
  lookup:
    service: accounts
    request: {method: GET, path: "/users/{{ user_id }}"}
    fields: {email: body.email}
mail: {from: accounts@acme.example, operators: [ops@acme.example]}
services:
  accounts: {base_url: "${env:ACCOUNTS_URL}", auth: {type: bearer, token: "${file:/TOKEN}"}}
  code: {type: python}
  crm: {type: sql, database_url: "${env:CRM_URL}"}
steps:
  notes:
    phase: erase
    service: crm
    request: {sql: "DELETE FROM notes WHERE author = :id", parameters: {id: "{{ user_id }}"}}
    probe: {request: {sql: "SELECT count(*) FROM notes WHERE author = :id", parameters: {id: "{{ user_id }}"}}}
  author:
    phase: erase
    service: code
    request: {call: erase-author, arguments: {id: "{{ user_id }}"}}
    probe: {request: {call: find-author, arguments: {id: "{{ user_id }}"}}}
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a secret and, on the path of packages, one that offers what the plan calls."""
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv("ACCOUNTS_URL", "https://accounts.acme.example")
    monkeypatch.setenv("CRM_URL", "sqlite:////var/lib/crm.db")
    installed(tmp_path, monkeypatch, "acme_retirement", "erase-author", "find-author")
    return tmp_path


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, *offers: str) -> None:
    """Install a package that offers calls."""
    info = folder / package / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {package}:{name.replace('-', '_')}\n" for name in offers)
    (info / "entry_points.txt").write_text(f"[account_retirement.calls]\n{lines}")
    monkeypatch.syspath_prepend(str(folder / package))


def told(folder: Path, text: str = PLAN, *, secrets: bool = True) -> list[str]:
    path = folder / "acme.yaml"
    path.write_text(text.replace("/TOKEN", str(folder / "token")))
    return [problem.told("acme.yaml") for problem in check_plan(path, secrets=secrets)]


def test_a_machine_that_has_everything_lacks_nothing(tmp_path: Path) -> None:
    assert told(tmp_path) == []


def test_a_call_that_no_package_offers_names_the_installed(tmp_path: Path) -> None:
    text = PLAN.replace("call: erase-author", "call: shred-papers").replace("call: find-author", "call: find-auhtor")
    first, second = told(tmp_path, text)
    assert first.startswith(
        "acme.yaml:21: steps.author.request.call: is offered by no package that is installed here (installed: "
    )
    assert "erase-author" in first and "find-author" in first
    assert "(did you mean 'find-author'?)" in second
    assert told(tmp_path, text, secrets=False) == []


def test_a_call_that_two_packages_offer_is_told_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "other_retirement", "erase-author")
    (line,) = told(tmp_path)
    assert line == (
        "acme.yaml:21: steps.author.request.call: is offered by several packages here "
        "(acme_retirement, other_retirement); uninstall all but one"
    )


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("hunter2", "with its references resolved on this machine, isn't an SQLAlchemy URL"),
        ("nosuchbase://us:hunter2@crm.example/crm", "needs a database driver that isn't installed here"),
        ("mysql+pymysql://us:hunter2@crm.example/crm", "needs a database driver that isn't installed here"),
        (
            "sqlite+aiosqlite:///hunter2",
            "with its references resolved on this machine, names a driver for asyncio; write",
        ),
    ],
)
def test_a_database_that_can_t_be_reached_from_here_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, what: str
) -> None:
    monkeypatch.setenv("CRM_URL", url)
    (line,) = told(tmp_path)
    assert line.startswith(f"acme.yaml:11: services.crm.database_url: {what}")
    assert "hunter2" not in line
    assert told(tmp_path, secrets=False) == []


def test_each_missing_secret_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCOUNTS_URL")
    (tmp_path / "token").unlink()
    text = PLAN.replace("{base_url:", '{headers: {X-From: "${env:ACCOUNTS_URL}"}, base_url:')
    lines = told(tmp_path, text)
    assert [line.split(" here;")[0] for line in lines] == [
        f"acme.yaml:9: services.accounts.auth.token: ${{file:{tmp_path}/token}} can't be read",
        "acme.yaml:9: services.accounts.base_url: ${env:ACCOUNTS_URL} isn't set",
    ]


def test_an_address_is_judged_by_what_its_reference_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_URL", "http://accounts.acme.example")
    (line,) = told(tmp_path)
    assert line.startswith(
        "acme.yaml:9: warning: services.accounts.base_url: with its references resolved on this machine, is http://"
    )
