"""Plans for tests: the sandbox's plan, with what matters overridden."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

SANDBOX_PLAN = Path(__file__).parents[2] / "plans" / "sandbox.yaml"

#: Nested mappings by name; a step or a service of them may be changed at will.
PlanDocument = dict[str, Any]


def a_plan(folder: Path, name: str, change: Callable[[PlanDocument], None] | None = None) -> str:
    """Write the sandbox's plan under a name of its own, changed as asked, and return the name."""
    document: PlanDocument = yaml.safe_load(SANDBOX_PLAN.read_text())
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


def with_token(service: str, variable: str) -> Callable[[PlanDocument], None]:
    """A service takes its token from another environment variable."""

    def change(document: PlanDocument) -> None:
        document["services"][service]["auth"] = {"type": "bearer", "token": f"${{env:{variable}}}"}

    return change
