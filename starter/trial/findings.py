"""What a trial finds: questions with their answers, remarks that say what is wrong and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only a problem makes a trial fail."""

    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Remark:
    """Something that the plan's owner should know. `code` is for scripts, `what` and `mend` are for people."""

    level: Level
    code: str
    what: str
    mend: str = ""


def problem(code: str, what: str, *, mend: str) -> Remark:
    """Something that would harm a retirement."""
    return Remark(level=Level.PROBLEM, code=code, what=what, mend=mend)


def warning(code: str, what: str, *, mend: str = "") -> Remark:
    """Something that may be meant."""
    return Remark(level=Level.WARNING, code=code, what=what, mend=mend)


def worst(remarks: Iterable[Remark]) -> Level:
    """The worst level among remarks."""
    levels = {remark.level for remark in remarks}
    return next((level for level in (Level.PROBLEM, Level.WARNING) if level in levels), Level.FINE)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A value that was read from an answer: of what kind, and the value itself where it may be shown."""

    name: str
    kind: str
    value: str | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing that was asked. `part` is its place in the plan."""

    part: str
    service: str
    #: The request's title: templates, no values.
    asks: str
    #: As it went over the wire, values masked; None where it could not be made.
    sent_as: str | None = None
    #: What came back (`200`, `404`, `timeout`), and how long it took.
    answer: str | None = None
    took: timedelta | None = None
    meaning: str = ""
    reads: tuple[Reading, ...] = ()
    #: What the same question about somebody who doesn't exist, or without credentials, was answered.
    also: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """A service of the plan: where it is and how we show who we are."""

    service: str
    address: str
    credentials: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """A rule or a claim, worked out for this person."""

    part: str
    says: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NotAsked:
    """A request that was not sent, and why."""

    part: str
    service: str
    changes: bool
    asks: str
    #: What it needs that isn't known; empty where it is not sent for what it changes.
    why: str = ""
    #: What it would look like; None where it can't be made yet.
    sent_as: str | None = None
    remarks: tuple[Remark, ...] = ()


@dataclass(kw_only=True)
class Findings:
    """Everything a trial found, in the order of the plan."""

    plan: str
    places: list[Place] = field(default_factory=list)
    lookup: Question | None = None
    #: What a source's row says of the person, and what a run would do there.
    row: Ruling | None = None
    #: What is asked of the person besides the lookup.
    also: list[Question] = field(default_factory=list)
    facts: list[Question] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    #: What the person owns, who could take over, and who would.
    assets: list[Question] = field(default_factory=list)
    successors: list[Question] = field(default_factory=list)
    successions: list[Ruling] = field(default_factory=list)
    #: Whom mails to others would go to.
    mails: list[Ruling] = field(default_factory=list)
    #: What steps ask before their request.
    finds: list[Question] = field(default_factory=list)
    probes: list[Question] = field(default_factory=list)
    not_asked: list[NotAsked] = field(default_factory=list)
    #: Requests that were sent, counter-checks included.
    requests: int = 0
    took: timedelta = timedelta(0)

    def remarks(self) -> list[Remark]:
        """All remarks."""
        lookup = [self.lookup] if self.lookup is not None else []
        parts: list[Place | Question | Ruling | NotAsked] = [*self.places, *lookup, *self.facts, *self.rulings]
        parts += [*([self.row] if self.row is not None else []), *self.also]
        parts += [*self.assets, *self.successors, *self.successions, *self.mails]
        return [remark for part in [*parts, *self.finds, *self.probes, *self.not_asked] for remark in part.remarks]

    def count(self, level: Level) -> int:
        """How many remarks of a level there are."""
        return sum(remark.level is level for remark in self.remarks())
