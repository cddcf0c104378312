"""The cookbook's recipes as plans of their own."""

import re
from pathlib import Path
from typing import Any

import yaml

from plans.yaml_reading import read_yaml
from tests.docs.support.pages import DOCS, Section, sections_of

COOKBOOK = DOCS / "cookbook.md"
#: Set before every variable the page names, so that nothing else in this process can mean them.
PREFIX = "COOKBOOK_"

_AROUND = "the-plan-around-them"
_REFERENCE = re.compile(r"\$\{env:(\w+)\}")


def recipes() -> dict[str, Section]:
    """Every section of the page that has a piece of a plan, by its link; all but the plan around them."""
    return {section.slug: section for section in _sections() if section.slug != _AROUND}


def variables() -> set[str]:
    """Every environment variable that the page's plans name."""
    return {name for section in _sections() for name in _REFERENCE.findall(section.block("yaml"))}


def written_plan(recipe: str, *, folder: Path, name: str | None = None, change: tuple[str, str] = ("", "")) -> Path:
    """A recipe's piece put into the plan around it, as the page says; a whole plan stays as it is.

    `change` is a text of it and what is to stand there instead.
    """
    piece = _data(recipes()[recipe])
    plan = piece if "plan" in piece else _put_into(_data(_around()), piece)
    plan["plan"] = name or recipe
    text = yaml.safe_dump(plan, sort_keys=False, width=1000)
    if any(change):
        assert change[0] in text, change[0]
        text = text.replace(*change)
    text = _REFERENCE.sub(rf"${{env:{PREFIX}\1}}", text)
    path = folder / f"{plan['plan']}.yaml"
    path.write_text(text)
    return path


def _put_into(plan: dict[str, Any], piece: dict[str, Any]) -> dict[str, Any]:
    for key, added in piece.items():
        if isinstance(added, list):
            plan[key] = [*plan.get(key, []), *added]
        else:
            assert not plan.get(key, {}).keys() & added.keys(), f"{key} has a name that the plan around it has, too"
            plan[key] = {**plan.get(key, {}), **added}
    own = piece.get("steps", {})
    plan["steps"]["account"]["after"] = [
        id for id, step in own.items() if step["phase"] == "erase" and "retain" not in step
    ]
    return plan


def _data(section: Section) -> dict[str, Any]:
    document = read_yaml(section.block("yaml").encode())
    assert document.problems == [] and isinstance(document.data, dict), document.problems
    return document.data


def _around() -> Section:
    [section] = [section for section in _sections() if section.slug == _AROUND]
    return section


def _sections() -> list[Section]:
    return [section for section in sections_of(COOKBOOK) if any(block.language == "yaml" for block in section.blocks)]
