"""Tables that an erasure changes and its probe leaves out: what is not counted is not proved to be gone."""

import re
from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, warning
from plans.checks.sql import statements_of
from plans.model import StepPhase
from plans.requests import SqlRequest

#: Literals and comments, which may hold anything.
_NO_CODE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = r"""(?:[\w$]+|"[^"]+"|`[^`]+`|\[[^\]]+\])"""
_CHANGED = re.compile(rf"\b(?:delete\s+from|update)\s+(?:only\s+)?((?:{_NAME}\s*\.\s*)*{_NAME})", re.IGNORECASE)
#: `ON CONFLICT DO UPDATE SET` and `FOR UPDATE OF` name no table there.
_NO_TABLE = frozenset({"set", "of", "nowait", "skip"})


def tables(draft: Draft) -> Iterator[Finding]:
    """Statements of an erase step on a table that the step's probe does not ask."""
    for id, step in draft.written.steps.items():
        at = ("steps", id)
        if step.phase is not StepPhase.ERASE or step.probe is None or not draft.is_whole(*at):
            continue
        request, probe = step.request, step.probe.request
        if not isinstance(request, SqlRequest) or not isinstance(probe, SqlRequest):
            continue
        asked = {word.lower() for text in probe.statements for word in re.findall(r"[\w$]+", _NO_CODE.sub(" ", text))}
        told: set[str] = set()
        for (path, known), text in zip(statements_of(request, (*at, "request")), request.statements, strict=True):
            if known.is_refused:
                continue
            for table in changed_tables(text):
                if table not in told and not set(re.findall(r"[\w$]+", table)) <= asked:
                    told.add(table)
                    yield warning(
                        Check.TABLE_UNPROBED,
                        path,
                        f"changes the table '{table}', which the step's probe doesn't ask, so what is left there is "
                        f"not noticed; add its count to the probe",
                    )


def changed_tables(statement: str) -> tuple[str, ...]:
    """The tables that a statement deletes from or updates, in lower case, without schema and quotes."""
    found = _CHANGED.findall(_NO_CODE.sub(" ", statement))
    bare = [re.split(r"\.\s*(?=[\w$\"`\[])", name)[-1].strip('"`[] ').lower() for name in found]
    return tuple(dict.fromkeys(name for name in bare if name not in _NO_TABLE))
