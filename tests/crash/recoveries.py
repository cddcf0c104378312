"""How long it took from each kill to the end of the retirement; told after the tests, and kept as JSON."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tests.support.lanes import Life


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One kill. What was still to be done of the life counts, too."""

    killed: str
    at: str
    seconds: float


#: Under which name a test's report carries its recoveries: it may have run in another process than the one that sums them up.
PROPERTY = "recovery"


class Recoveries:
    """The kills of one test."""

    def __init__(self, *, record: Callable[[str, object], None]) -> None:
        self._record = record

    def note(self, life: Life, *, killed: str, at: str) -> None:
        """Note how long a life took to end after it was cut short."""
        assert life.recovery is not None
        self.add(Recovery(killed=killed, at=at, seconds=life.recovery.total_seconds()))

    def add(self, recovery: Recovery) -> None:
        """Note one that was measured."""
        self._record(PROPERTY, json.dumps(asdict(recovery)))


@dataclass(frozen=True)
class Summary:
    """All kills of a test run."""

    all: list[Recovery]

    @classmethod
    def of(cls, properties: Iterable[tuple[str, object]]) -> Self:
        """Read back what the reports of the tests carry."""
        return cls([Recovery(**json.loads(str(value))) for name, value in properties if name == PROPERTY])

    def lines(self) -> list[str]:
        """The summary: of each thing killed the median, the longest, and where that was."""
        lines = []
        for killed in dict.fromkeys(recovery.killed for recovery in self.all):
            some = sorted((each for each in self.all if each.killed == killed), key=lambda each: each.seconds)
            middle, longest = some[len(some) // 2], some[-1]
            lines.append(
                f"{killed}: {len(some)} kills, to the end of the retirement: median {middle.seconds:.1f} s, "
                f"longest {longest.seconds:.1f} s ({longest.at})"
            )
        return lines

    def save(self, path: Path) -> None:
        """Write every kill with its time."""
        path.write_text(json.dumps([asdict(recovery) for recovery in self.all], indent=1))
