"""What somebody owns, step by step: asked of the services page by page, or read from the ledger."""

import csv
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from starter.errors import CommandError
from starter.exit_codes import ExitCode

if TYPE_CHECKING:
    from ledger.rows import Asset, AssetRow
    from starter.ownership.asking import Asked


class Table(Protocol):
    """What csv writers of the standard library offer."""

    def writerow(self, row: Iterable[object], /) -> Any:
        """Write one row."""
        ...

    def writerows(self, rows: Iterable[Iterable[object]], /) -> None:
        """Write several."""
        ...


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which facts of an asset are told. A title may be anything, and is told only to who asks for it."""

    with_results: bool
    show_values: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the order of `values`."""
        results = ("result", "code") if self.with_results else ()
        return ("asset", "step", "type", *results, *(("title",) if self.show_values else ()))

    def owned(self, step: str, asset: "Asset") -> tuple[str | None, ...]:
        """An asset that a service lists."""
        return (asset.id, step, asset.type, *self._title(asset))

    def recorded(self, row: "AssetRow") -> tuple[str | None, ...]:
        """An asset that the ledger knows."""
        told = (row.result.value if row.result else "waiting", row.code) if self.with_results else ()
        return (row.asset.id, row.step, row.asset.type, *told, *self._title(row.asset))

    def _title(self, asset: "Asset") -> tuple[str | None, ...]:
        from activities.mail_assets import harmless

        if not self.show_values:
            return ()
        # Whatever people wrote: no spreadsheet is to compute it.
        return (None if asset.title is None else harmless(asset.title),)


async def owned_by_step(asked: "Asked") -> "AsyncIterator[tuple[str, list[Asset]]]":
    """Every page of what somebody owns, with the step at whose service it is.

    Raises:
        NotTold: a service doesn't tell.
    """
    from activities.ownership.inventory import owned

    for id, step in asked.begun.plan.steps.items():
        if step.assets is None or step.service is None:
            continue
        call = asked.begun.call(step=id, service=step.service, request=step.assets.request)
        async for page in owned(asked.action, call=call, assets=step.assets):
            yield id, page


class Sums:
    """How many assets of which kind there are at which step."""

    def __init__(self, steps: Iterable[str]) -> None:
        self._counted: dict[str, Counter[str]] = {step: Counter() for step in steps}

    def add(self, step: str, kinds: Iterable[str]) -> None:
        """Count some more."""
        self._counted.setdefault(step, Counter()).update(kinds)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(counter.total() for counter in self._counted.values())

    def facts(self) -> dict[str, dict[str, int]]:
        """By step and kind."""
        return {step: dict(counter) for step, counter in self._counted.items()}

    def rows(self) -> list[tuple[str, str]]:
        """The same, for people: `1,207 (page 1,204, slide 3)`."""
        return [(step, _summed(counter)) for step, counter in self._counted.items()]


def _summed(counter: Counter[str]) -> str:
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(counter.items()))
    return f"{counter.total():,} ({kinds})" if kinds else "nothing"


@contextmanager
def csv_file(path: Path | None, *, heading: Sequence[str]) -> "Iterator[Table | None]":
    """A table in a file that only its owner can read, written as rows come; None where nobody asks for one.

    Raises:
        CommandError: it can't be written.
    """
    if path is None:
        yield None
        return
    try:
        with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
            writer = csv.writer(file)
            writer.writerow(heading)
            yield writer
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"{path} can't be written ({why}).", do="Check the folder.", code=ExitCode.USAGE) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
