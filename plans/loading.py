"""Loading a plan: one YAML file, checked as a whole, with every problem told at once."""

import re
from pathlib import Path

from plans.checks import findings_in
from plans.checks.findings import Check
from plans.model import Plan
from plans.yaml_reading import Problem, Severity, read_yaml

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NOT_A_NAME = "isn't a name; write lower-case letters, digits, - and _, a letter first, at most 63"
_SUFFIX = ".yaml"
#: What is sent as it stands. Elsewhere the model knows what it wants.
_DATA = frozenset({"json", "parameters", "arguments"})
_DOUBTFUL = "is sent as text, as it has no quotes; write true, false, null or a number, or put the text in quotes"


class PlanError(Exception):
    """A plan that can't be used. The text lists every problem as `file:line: key.path: what is wrong; how to mend`."""


def load_plan(path: Path) -> Plan:
    """Read and check a plan. Secrets and other things that a machine may lack are readiness' business.

    Raises:
        PlanError: it can't be used; the text holds no value of the file.
    """
    plan, problems = _read(path, here=False)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if plan is None or errors:
        raise PlanError("\n".join(problem.told(str(path)) for problem in errors)) from None
    return plan


def check_plan(path: Path, *, secrets: bool) -> tuple[Problem, ...]:
    """Everything that is wrong with a plan, errors and warnings, in the order of the file; nothing where it is fine.

    `secrets`: also what this machine lacks for it, such as secrets, database drivers and installed code.
    """
    return _read(path, here=secrets)[1]


class Plans:
    """The plans of a folder, by name: `acme` is `acme.yaml`. A file is read again once it has changed."""

    def __init__(self, folder: Path, default: str) -> None:
        self._folder = folder
        self._default = default
        self._loaded: dict[str, tuple[tuple[int, int, int], Plan]] = {}

    def get(self, name: str | None = None) -> Plan:
        """The plan of that name, or the default one.

        Raises:
            PlanError: there is none, or it can't be used.
        """
        name = self._default if name is None else name
        # The name comes with a start message: it never becomes a path, and never a text, unless it is a plain name.
        if not _NAME.fullmatch(name):
            raise PlanError(f"the plan's name {_NOT_A_NAME}; known: {self._known()}")
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            stat = path.stat()
        except OSError:
            raise PlanError(f"unknown plan '{name}'; known: {self._known()}") from None
        version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        loaded = self._loaded.get(name)
        if loaded is None or loaded[0] != version:
            loaded = self._loaded[name] = (version, load_plan(path))
        return loaded[1]

    def names(self) -> tuple[str, ...]:
        """The names of all plans in the folder, sorted."""
        return tuple(sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem)))

    def _known(self) -> str:
        return ", ".join(self.names()) or f"none, as {self._folder} holds no *{_SUFFIX}; check RETIREMENT_PLANS_DIR"


def _read(path: Path, *, here: bool) -> tuple[Plan | None, tuple[Problem, ...]]:
    """A plan as far as it can be read, and its problems."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None, (_of_file("there is no such file; check the path"),)
    except IsADirectoryError:
        return None, (_of_file("is a folder; name the plan's file in it"),)
    except OSError as error:
        return None, (_of_file(f"can't be read ({error.strerror}); check its permissions"),)
    document = read_yaml(raw)
    if document.data is None and document.problems:
        return None, tuple(document.problems)
    if not isinstance(document.data, dict):
        return None, (document.problem((), "isn't a mapping; begin with `plan: <name>`"),)
    plan, findings = findings_in(document.data, here=here)
    found = {
        document.problem(finding.path, finding.what, severity=finding.severity, check=finding.check)
        for finding in findings
    }
    # Where the YAML itself is wrong, what the model makes of the rest of that line would only confuse.
    unreadable = {(problem.line, problem.where) for problem in document.problems}
    told = {problem for problem in found if (problem.line, problem.where) not in unreadable}
    told |= {
        document.problem(path, _DOUBTFUL, severity=Severity.WARNING, check=Check.PLAIN_WORD)
        for path in document.doubtful
        if _DATA.intersection(path)
    }
    named = _misnamed(plan, path) if not any(problem.where == "plan" for problem in told) else None
    if named is not None:
        told.add(document.problem(("plan",), named, check=Check.FILE_NAME))
    return plan, tuple(sorted({*document.problems, *told}))


def _of_file(what: str) -> Problem:
    return Problem(line=0, where="", what=what, check=Check.FILE)


def _misnamed(plan: Plan, path: Path) -> str | None:
    """Why a worker would not find the plan by its name."""
    if path.suffix == _SUFFIX and plan.plan == path.stem:
        return None
    if path.suffix == _SUFFIX and _NAME.fullmatch(path.stem):
        return f"isn't the file's name; write `plan: {path.stem}`, or rename the file"
    return (
        f"isn't the file's name, and a worker looks for the plan in that file; rename the file to {plan.plan}{_SUFFIX}"
    )
