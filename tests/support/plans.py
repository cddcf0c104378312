"""Plans for tests: the sandbox's plan, with what matters overridden."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

SANDBOX_PLAN = Path(__file__).parents[2] / "plans" / "sandbox.yaml"
#: The one by which people own documents.
TEAM_PLAN = SANDBOX_PLAN.with_name("sandbox_team.yaml")

#: Nested mappings by name; a step or a service of them may be changed at will.
PlanDocument = dict[str, Any]


def a_plan(
    folder: Path, name: str, change: Callable[[PlanDocument], None] | None = None, *, like: Path = SANDBOX_PLAN
) -> str:
    """Write one of the sandbox's plans under a name of its own, changed as asked, and return the name."""
    document: PlanDocument = yaml.safe_load(like.read_text())
    document["plan"] = name
    if change is not None:
        change(document)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return name


def with_patience(patience: str) -> Callable[[PlanDocument], None]:
    """Every step and the lookup give up after this."""

    def change(document: PlanDocument) -> None:
        document["subject"]["lookup"]["patience"] = patience
        for step in document["steps"].values():
            if "retain" not in step:
                step["patience"] = patience

    return change


def brisk(document: PlanDocument) -> None:
    """The newsletter vendor is asked more often, so that a retirement on a running clock takes no second longer."""
    document["steps"]["newsletter"]["poll"]["every"] = "100ms"


def all_of(*changes: Callable[[PlanDocument], None]) -> Callable[[PlanDocument], None]:
    """Several changes, one after the other."""

    def change(document: PlanDocument) -> None:
        for each in changes:
            each(document)

    return change


_IS_ADMIN = "subject.roles[0].startswith('admin')"


def admins_stay(document: PlanDocument) -> None:
    """The last one of an admin's role may not go, and of the last two only one; nor may debtors, nor one of twenty-one."""
    document["facts"] = {
        "admins": {
            "service": "accounts",
            "request": {"method": "GET", "path": "/roles/{{ subject.roles[0] }}/users"},
            "items": "body.users",
            "next_page": "body.next",
        }
    }
    document["eligibility"] = [
        {"refuse_if": f"{_IS_ADMIN} and facts.admins | length == 1", "code": "sole_admin"},
        {"refuse_if": "facts.admins | length == 21", "code": "twenty_one"},
        {"refuse_if": "'debtor' in subject.roles", "code": "unpaid"},
    ]
    document["claims"] = [{"key": "role:{{ subject.roles[0] }}", "when": _IS_ADMIN}]


def on_the_intranet(document: PlanDocument) -> None:
    """The forum is in a network that not every worker reaches."""
    document["services"]["forum"]["queue"] = "intranet"


def with_token(service: str, variable: str) -> Callable[[PlanDocument], None]:
    """A service takes its token from another environment variable."""

    def change(document: PlanDocument) -> None:
        document["services"][service]["auth"] = {"type": "bearer", "token": f"${{env:{variable}}}"}

    return change
