"""What mails tell of assets: counts, a short table, and a file with all of them. Whatever a title holds, it stays a title."""

import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from activities.mail_templates import one_line
from activities.ownership.moving import NOT_OWNER
from ledger.rows import AssetRow, StepAction, StepRow, VaultValues
from plans.model import Plan, Step, StepPhase
from workflows.names import AssetResult, StepResult

#: So many stand in the mail itself; where there are more, a file holds all of them.
MOST_IN_BODY = 50
#: In bytes. As an attachment it is a third longer, and mail servers begin to refuse at some megabytes.
LONGEST_FILE = 1_200_000
#: How counts and words call what nobody has come to yet, and what has somebody else for an owner by now.
WAITING = "waiting"
OTHERS = "others"

_LONGEST_IN_BODY = 120
_LONGEST_CELL = 200
_SHORTEST_TITLE = 20
_ORDER = (*(result.value for result in AssetResult if result is not AssetResult.RETRYING), OTHERS, WAITING)
#: What makes a spreadsheet take a cell for a formula, at its beginning or behind what another program takes for its beginning.
_FORMULA = re.compile(r"""((?:^|[,;|])["' ]*)(?=[=+\-@＝＋－＠])""")


@dataclass(frozen=True, kw_only=True)
class AssetLine:
    """An asset as a mail shows it: texts of one line, and codes that each language has words for."""

    step: str
    #: What the step is called, as the service where it is.
    where: str
    id: str
    type: str | None
    title: str
    result: str
    code: str | None
    #: Whose it is now.
    owner: str | None
    #: Is somebody still to find it an owner?
    is_left: bool = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """A table of assets; `lines` says how many of them it holds, from the first."""

    content: bytes = field(repr=False)
    lines: int


class Words(Protocol):
    """What a language has to say of assets."""

    columns: Mapping[str, str]
    asset_results: Mapping[str, str]
    csv_separator: str

    def asset_reason(self, code: str | None) -> str:
        """Why, in plain words."""
        ...


def title_of(step: str) -> str:
    """What a step is called in mails."""
    return step.replace("_", " ").replace("-", " ").capitalize()


def tally(counts: Mapping[AssetResult | None, int]) -> list[tuple[str, int]]:
    """The ledger's counts by result, each in its place."""
    found: Counter[str] = Counter()
    for result, number in counts.items():
        found[_named(result)] += number
    return _in_order(found)


def tallies(lines: Iterable[AssetLine]) -> dict[str, list[tuple[str, int]]]:
    """The same of each step, from the assets themselves."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        found[line.step][line.result] += 1
    return {step: _in_order(counts) for step, counts in found.items()}


def handed_over(
    plan: Plan,
    rows: Sequence[StepRow],
    *,
    counts: Mapping[str, Sequence[tuple[str, int]]],
    values: VaultValues | None = None,
) -> list[dict[str, Any]]:
    """What became of each step that hands something over, in the plan's order; with who has it now only for `values`.

    Steps at whose service there was nothing are left out for those who are told of the others' owner.
    """
    ended = {row.step: row.result for row in rows if row.action is StepAction.DO and row.has_ended}
    told = []
    for id, step in plan.steps.items():
        result = ended.get(id)
        if result is None or not _hands_over(step, whoever=values is not None):
            continue
        if values is not None and result is StepResult.ABSENT:
            continue
        owner = None if values is None else _owner(values, step)
        told.append(
            {
                "id": id,
                "title": title_of(id),
                "result": result.value,
                "counts": counts.get(id, ()),
                "owner": owner,
            }
        )
    return told


def lines_of(plan: Plan, rows: Iterable[AssetRow], *, values: VaultValues) -> list[AssetLine]:
    """Assets as a mail shows them, those that are left first, then those that were not found; else as they were found."""
    steps = {id: (title_of(id), _owner(values, step)) for id, step in plan.steps.items()}
    lines = [_line_of(row, *steps.get(row.step, (title_of(row.step), None))) for row in rows]
    return sorted(lines, key=lambda line: (not line.is_left, line.result != AssetResult.NOT_FOUND))


def shown_in_body(lines: Sequence[AssetLine]) -> list[dict[str, Any]]:
    """The first of them, short enough for a page."""
    return [
        {
            "where": line.where,
            "id": _cut(line.id, _LONGEST_IN_BODY),
            "type": line.type and _cut(line.type, _LONGEST_IN_BODY),
            "title": _cut(line.title, _LONGEST_IN_BODY),
            "result": line.result,
            "code": line.code,
            "owner": line.owner,
            "is_left": line.is_left,
        }
        for line in lines[:MOST_IN_BODY]
    ]


def asset_file(lines: Sequence[AssetLine], *, words: Words, with_results: bool) -> AssetFile:
    """All assets as CSV (RFC 4180), with the mark by which spreadsheets know UTF-8 and the separator of the language.

    Never longer than LONGEST_FILE: long titles are shortened first, then the last lines are left out.
    """
    names = ["where", "id", "type", "title", *(["result", "reason", "owner"] if with_results else [])]
    head = b"\xef\xbb\xbf" + _row([words.columns[name] for name in names], separator=words.csv_separator)
    others = [_cells(line, words=words, with_results=with_results) for line in lines]
    titles = [line.title for line in lines]

    def written() -> list[bytes]:
        return [
            _row([*cells[:3], title, *cells[3:]], separator=words.csv_separator)
            for cells, title in zip(others, titles, strict=True)
        ]

    rows = written()
    if (length := len(head) + sum(map(len, rows))) > LONGEST_FILE:
        untitled = length - sum(len(title.encode()) for title in titles)
        room = max(_SHORTEST_TITLE, (LONGEST_FILE - untitled) // len(lines))
        titles = [_cut_bytes(title, room) for title in titles]
        rows = written()
    content = io.BytesIO()
    content.write(head)
    held = 0
    for row in rows:
        if content.tell() + len(row) > LONGEST_FILE:
            break
        content.write(row)
        held += 1
    return AssetFile(content=content.getvalue(), lines=held)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet computes, at whatever sign it takes the line apart."""
    return _FORMULA.sub(r"\1'", cell)


def _named(result: AssetResult | None) -> str:
    """What is to be tried again counts as waiting."""
    return WAITING if result in (None, AssetResult.RETRYING) else str(result)


def _in_order(found: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, found[name]) for name in _ORDER if found.get(name)]


def _hands_over(step: Step, *, whoever: bool) -> bool:
    """Does it move what the person owned? `whoever`: or is it erased in somebody's favour?"""
    return step.phase is StepPhase.TRANSFER or (whoever and step.successor is not None)


def _owner(values: VaultValues, step: Step) -> dict[str, str | None] | None:
    """Who takes over by a step: `id`, `name`, `email`, each a line."""
    chosen = values["successors"].get(step.successor or "")
    if chosen is None:
        return None
    known = {name: chosen.get(name) for name in ("id", "name", "email")}
    return {name: _cut(str(value), _LONGEST_IN_BODY) if value else None for name, value in known.items()}


def _line_of(row: AssetRow, where: str, owner: Mapping[str, str | None] | None) -> AssetLine:
    id = _cut(row.asset.id, _LONGEST_CELL)
    is_refused = row.result is AssetResult.REFUSED
    result = OTHERS if is_refused and row.code == NOT_OWNER else _named(row.result)
    is_left = result in (WAITING, AssetResult.REFUSED.value)
    has_owner = row.result in (AssetResult.MOVED, AssetResult.ALREADY_OWNED) and owner is not None
    return AssetLine(
        step=row.step,
        where=where,
        id=id,
        type=_cut(row.asset.type, _LONGEST_CELL) if row.asset.type else None,
        title=_cut(row.asset.title or "", _LONGEST_CELL) or id,
        result=result,
        code=row.code if is_left else None,
        owner=(owner["name"] or owner["id"]) if has_owner and owner is not None else None,
        is_left=is_left,
    )


def _cells(line: AssetLine, *, words: Words, with_results: bool) -> list[str]:
    """What the file says of an asset, but for its title."""
    cells = [line.where, line.id, line.type or ""]
    if with_results:
        # The marks that keep directions apart belong into a mail; here each cell stands alone.
        reason = one_line(words.asset_reason(line.code)) if line.code else ""
        cells += [words.asset_results[line.result], reason, line.owner or ""]
    return cells


def _row(cells: Iterable[str], *, separator: str) -> bytes:
    """All are quoted, so that none is taken apart at a separator of its own."""
    quoted = ('"' + harmless(cell).replace('"', '""') + '"' for cell in cells)
    return (separator.join(quoted) + "\r\n").encode()


def _cut(text: str, longest: int) -> str:
    # Cut roughly first: a title of megabytes is not looked at character by character.
    line = one_line(text[: 4 * longest])
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _cut_bytes(text: str, room: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[: max(0, room - 3)].decode(errors="ignore").rstrip() + "…"
