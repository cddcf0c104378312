"""A trial's findings for people, and the same facts for scripts."""

from collections.abc import Iterator, Sequence
from typing import Any

from starter.output import columns
from starter.sheet import Line
from starter.trial.doubts import took_for_people
from starter.trial.findings import Findings, Level, NotAsked, Place, Question, Remark, Ruling, worst

_MARKS = {Level.FINE: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "bold red")}
_LEVEL_STYLES = {Level.WARNING: "yellow", Level.PROBLEM: "red"}
#: Labels stand in a column of their own, to the left of what they label.
_LABEL = 11


def facts_of(findings: Findings) -> dict[str, Any]:
    """Everything, for --json."""
    return {
        "plan": findings.plan,
        "problems": findings.count(Level.PROBLEM),
        "warnings": findings.count(Level.WARNING),
        "requests": findings.requests,
        "services": [
            {"service": each.service, "address": each.address, "credentials": each.credentials, **_remarks(each)}
            for each in findings.places
        ],
        "lookup": _question(findings.lookup) if findings.lookup is not None else None,
        "row": {"says": findings.row.says, **_remarks(findings.row)} if findings.row is not None else None,
        "also": [_question(each) for each in findings.also],
        "facts": [_question(each) for each in findings.facts],
        "rules": [{"part": each.part, "says": each.says, **_remarks(each)} for each in findings.rulings],
        "assets": [_question(each) for each in findings.assets],
        "successors": [_question(each) for each in findings.successors],
        "successions": [{"part": each.part, "says": each.says, **_remarks(each)} for each in findings.successions],
        "mails": [{"part": each.part, "says": each.says, **_remarks(each)} for each in findings.mails],
        "finds": [_question(each) for each in findings.finds],
        "probes": [_question(each) for each in findings.probes],
        "not_asked": [
            {
                "part": each.part,
                "service": each.service,
                "changes": each.changes,
                "asks": each.asks,
                "why": each.why,
                "would_be_sent_as": each.sent_as,
                **_remarks(each),
            }
            for each in findings.not_asked
        ],
    }


def lines_of(findings: Findings) -> list[Line]:
    """The same, for people."""
    return [
        Line(text=f"Plan {findings.plan}, tried with one person: what only reads is asked, nothing is changed."),
        *_section("Services", [line for each in findings.places for line in _place(each, findings.places)]),
        *_section("Lookup", [*_lines_of_question(findings.lookup)] if findings.lookup is not None else []),
        *_section("The row at the source", [*_ruling(findings.row)] if findings.row is not None else []),
        *_section("What others tell", [line for each in findings.also for line in _lines_of_question(each)]),
        *_section("Facts", [line for each in findings.facts for line in _lines_of_question(each)]),
        *_section("Rules", [line for each in findings.rulings for line in _ruling(each)]),
        *_section("What they own", [line for each in findings.assets for line in _lines_of_question(each)]),
        *_section("Who could take over", _successors(findings)),
        *_section("Mails to others", [line for each in findings.mails for line in _ruling(each)]),
        *_section("What is found first", [line for each in findings.finds for line in _lines_of_question(each)]),
        *_section("Probes", [line for each in findings.probes for line in _lines_of_question(each)]),
        *_section("Not asked yet", _unasked([each for each in findings.not_asked if not each.changes])),
        *_section(
            "Not asked, as it changes something", _unasked([each for each in findings.not_asked if each.changes])
        ),
        Line(),
        _sum(findings),
    ]


def _section(title: str, lines: Sequence[Line]) -> list[Line]:
    return [Line(), Line(text=title, style="bold"), *lines] if lines else []


def _place(place: Place, places: Sequence[Place]) -> Iterator[Line]:
    width = max(len(each.service) for each in places)
    yield _headed(worst(place.remarks), f"{place.service:<{width}}  {place.address}  {place.credentials}")
    yield from _told(place.remarks)


def _lines_of_question(question: Question) -> Iterator[Line]:
    yield _headed(worst(question.remarks), f"{question.part} asks {question.service}: {question.asks}")
    if question.sent_as is not None:
        yield _labelled("sent as", question.sent_as)
    if question.answer is not None and question.took is not None:
        yield _labelled("answer", f"{question.answer} in {took_for_people(question.took)}")
    yield _labelled("meaning", question.meaning)
    rows = [(each.name, each.kind, each.value or "") for each in question.reads]
    read = [line.removesuffix("  -").rstrip() for line in columns(rows)]
    for number, text in enumerate(read):
        yield _labelled("reads" if number == 0 else "", text)
    for said in question.also:
        yield _labelled("also", said)
    yield from _told(question.remarks)


def _successors(findings: Findings) -> list[Line]:
    asked = [line for each in findings.successors for line in _lines_of_question(each)]
    return [*asked, *(line for each in findings.successions for line in _ruling(each))]


def _ruling(ruling: Ruling) -> Iterator[Line]:
    yield _headed(worst(ruling.remarks), f"{ruling.part}: {ruling.says}")
    yield from _told(ruling.remarks)


def _unasked(left: Sequence[NotAsked]) -> list[Line]:
    width = max((len(each.part) for each in left), default=0)
    lines: list[Line] = []
    for each in left:
        said = f"{each.sent_as or each.asks}{f'  ({each.why})' if each.why else ''}"
        mark, style = _MARKS[worst(each.remarks)] if each.remarks else ("·", "dim")
        lines += [Line(margin=f"  {mark} {each.part:<{width}}  ", text=said, margin_style=style), *_told(each.remarks)]
    return lines


def _told(remarks: Sequence[Remark]) -> Iterator[Line]:
    for remark in remarks:
        yield _labelled(remark.level.value, remark.what, style=_LEVEL_STYLES.get(remark.level, ""))
        if remark.mend:
            yield _labelled("mend", remark.mend)


def _sum(findings: Findings) -> Line:
    problems, warnings = findings.count(Level.PROBLEM), findings.count(Level.WARNING)
    asked = f"{_counted(findings.requests, 'request')} in {took_for_people(findings.took)}"
    level = Level.PROBLEM if problems else Level.WARNING if warnings else Level.FINE
    found = [_counted(number, noun) for number, noun in ((problems, "problem"), (warnings, "warning")) if number]
    mark, style = _MARKS[level]
    return Line(margin=f"{mark} ", text=f"{' and '.join(found) or 'everything is fine'}; {asked}", margin_style=style)


def _headed(level: Level, text: str) -> Line:
    mark, style = _MARKS[level]
    return Line(margin=f"  {mark} ", text=text, margin_style=style)


def _labelled(label: str, text: str, *, style: str = "") -> Line:
    return Line(margin=f"      {label:<{_LABEL}}", text=text, margin_style=style or "dim", style=style)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _question(question: Question) -> dict[str, Any]:
    return {
        "part": question.part,
        "service": question.service,
        "asks": question.asks,
        "sent_as": question.sent_as,
        "answer": question.answer,
        "milliseconds": round(question.took.total_seconds() * 1000) if question.took is not None else None,
        "meaning": question.meaning,
        "reads": [vars(each) for each in question.reads],
        "also": list(question.also),
        **_remarks(question),
    }


def _remarks(part: Place | Question | Ruling | NotAsked) -> dict[str, Any]:
    return {"remarks": [vars(remark) for remark in part.remarks]}
