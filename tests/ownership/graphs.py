"""Random ownership graphs: who works where and owns what, who goes, whom they name, and what else happens meanwhile."""

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from sandbox.faults import FaultKind

#: Nobody of that name is anywhere.
NOBODY = "nobody"
#: The days of a cool-off.
COOL_OFF_DAYS = 14

#: In milliseconds: what a life takes that nobody holds up.
_WHILE_OTHERS_ARE_AT_WORK = 500

_ROLES = (("admin",), ("author",), ("member",))


@dataclass(frozen=True, kw_only=True)
class Resume:
    """How an operator resumes what ended ERRORED: with somebody else, back, or just so."""

    successor: str | None = None
    go_back: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """A wish to be retired, on a day and so many milliseconds into it. `successor`: a name, or nobody is named."""

    successor: str | None = None
    day: int = 0
    after: int = 0
    cools_off: bool = False
    rescinds: bool = False
    resumes: tuple[Resume, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Someone:
    """Somebody of a graph. Whoever was not retired by one request, asks by the next."""

    name: str
    org: str
    roles: tuple[str, ...]
    documents: int
    requests: tuple[Request, ...] = ()

    @property
    def may_take_over(self) -> bool:
        """Have they a role for it?"""
        return "author" in self.roles or "admin" in self.roles


class EventKind(StrEnum):
    """What happens beside the retirements."""

    #: Somebody has these roles from now on.
    ROLES = "roles"
    #: A document more, unless they are about to hand over already.
    CREATED = "created"
    #: Somebody's first document goes to somebody else, who stays.
    GIVEN = "given"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens, on a day of the cool-off or (0) at once."""

    kind: EventKind
    who: str
    day: int
    roles: tuple[str, ...] = ()
    to: str = ""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How a service treats somebody: what is asked about them, and for what they own."""

    service: str
    kind: FaultKind
    who: str
    method: str
    times: int
    status: int = 500


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All of it, drawn from one seed."""

    seed: int
    people: tuple[Someone, ...]
    events: tuple[Event, ...]
    troubles: tuple[Trouble, ...]

    def someone(self, name: str) -> Someone:
        """Whoever has this name."""
        return next(someone for someone in self.people if someone.name == name)

    @property
    def going(self) -> tuple[Someone, ...]:
        """Whoever asks to be retired."""
        return tuple(someone for someone in self.people if someone.requests)

    def leaves_nothing_in_the_way_of(self, someone: Someone) -> bool:
        """Somebody who stays what they are can take over, nobody else of the org goes, and no service is in trouble."""
        request, colleagues = someone.requests[0], self._colleagues_of(someone)
        changing = {event.who for event in self.events if event.roles}
        may = {each.name for each in colleagues if each.may_take_over and each.name not in changing}
        admins = {each.name for each in colleagues if "admin" in each.roles and each.name not in changing}
        has_one = request.successor in may if request.successor else bool(admins)
        troubled = {trouble.who for trouble in self.troubles} & {someone.name, *(each.name for each in colleagues)}
        return has_one and not request.rescinds and not troubled and not any(each.requests for each in colleagues)

    def has_nobody_to_take_over_from(self, someone: Someone) -> bool:
        """Has this one something to hand over from the beginning to the end, and nobody to take it?"""
        gets_role = {event.who for event in self.events if event.roles}
        gives = {event.who for event in self.events if event.to}
        could = any(each.may_take_over or each.name in gets_role for each in self._colleagues_of(someone))
        return someone.documents > 0 and someone.name not in gives and not could

    def _colleagues_of(self, someone: Someone) -> list[Someone]:
        return [each for each in self.people if each.org == someone.org and each is not someone]

    def told(self) -> str:
        """The graph for people to read."""
        lines = [f"graph {self.seed}"]
        for someone in self.people:
            lines.append(f"  {someone.name}: {someone.org} {'+'.join(someone.roles)}, {someone.documents} documents")
            for request in someone.requests:
                lines.append(f"    wants to go: {_told(request)}")
        lines += [
            f"  day {event.day}: {event.who} {event.kind} {'+'.join(event.roles)}{event.to}" for event in self.events
        ]
        lines += [
            f"  {trouble.service} {trouble.method} of {trouble.who}: {trouble.kind} {trouble.status}, {trouble.times}×"
            for trouble in self.troubles
        ]
        return "\n".join(lines)


def _told(request: Request) -> str:
    told = [f"on day {request.day} after {request.after} ms", f"names {request.successor or 'no one'}"]
    told += ["cools off"] if request.cools_off else []
    told += ["rescinds"] if request.rescinds else []
    told += [
        "resumed back" if resume.go_back else f"resumed with {resume.successor or 'no other'}"
        for resume in request.resumes
    ]
    return ", ".join(told)


def a_graph(seed: int, *, chance: random.Random | None = None) -> Graph:
    """Draw a graph: always the same for a seed."""
    chance = chance or random.Random(seed)
    names = [f"p{number}" for number in range(chance.choice((2, 3, 3, 4, 4, 5)))]
    going = chance.sample(names, k=min(len(names), chance.choice((1, 2, 2, 2, 3, 3))))
    people = _people(chance, names=names, going=going)
    if len(going) > 1 and len(going) < len(names) and chance.random() < 0.4:
        people = _relay(chance, people=people, going=going)
    staying = [name for name in names if name not in going]
    return Graph(
        seed=seed,
        people=tuple(people),
        events=tuple(_an_event(chance, names=names, staying=staying) for _ in range(chance.choice((0, 0, 1, 2, 3)))),
        troubles=tuple(_a_trouble(chance, names=names, going=going) for _ in range(chance.choice((0, 0, 0, 1, 2)))),
    )


def _people(chance: random.Random, *, names: list[str], going: list[str]) -> list[Someone]:
    orgs = ("red",) if chance.random() < 0.75 else ("red", "blue")
    named = _named(chance, names=names, going=going)
    people = []
    for name in names:
        requests = tuple(
            _a_request(chance, names=names, successor=None if again else named[name])
            for again in range(_how_often(chance))
        )
        people.append(
            Someone(
                name=name,
                org=chance.choice(orgs),
                roles=chance.choices(_ROLES, weights=(4, 5, 1))[0],
                documents=chance.choice((0, 1, 1, 2, 2, 3)),
                requests=requests if name in going else (),
            )
        )
    return people


def _relay(chance: random.Random, *, people: list[Someone], going: list[str]) -> list[Someone]:
    """Each hands over to the next, who goes on the same day, and the last one to somebody who stays."""
    [last] = chance.sample([someone.name for someone in people if someone.name not in going], k=1)
    names = dict(zip(going, [*going[1:], last], strict=True))
    day, cools_off = chance.choice((0, COOL_OFF_DAYS)), chance.random() < 0.3
    relayed = []
    for someone in people:
        if someone.name in (*going, last):
            someone = replace(someone, org="red", roles=chance.choice((("admin",), ("author",))))
        if someone.name in going:
            first = replace(
                someone.requests[0],
                successor=names[someone.name],
                day=day,
                after=0 if someone.name == going[0] else chance.randint(0, _WHILE_OTHERS_ARE_AT_WORK),
                cools_off=cools_off,
                rescinds=False,
            )
            requests = (first, *someone.requests[1:])
            someone = replace(someone, documents=max(1, someone.documents), requests=requests)
        relayed.append(someone)
    return relayed


def _named(chance: random.Random, *, names: list[str], going: list[str]) -> dict[str, str | None]:
    """Whom each of them names: often in a circle or all the same, else anybody or nobody."""
    shape = chance.choice(("none", "none", "circle", "same", "any"))
    circle = dict(zip(going, [*going[1:], going[0]], strict=True))
    same = chance.choice(names)
    anybody = [None, None, None, *names, NOBODY]
    named = {
        name: {"none": None, "circle": circle.get(name), "same": same, "any": chance.choice(anybody)}[shape]
        for name in names
    }
    # Few are so wrong as to name themselves.
    return {name: None if other == name and chance.random() < 0.8 else other for name, other in named.items()}


def _how_often(chance: random.Random) -> int:
    return 2 if chance.random() < 0.15 else 1


def _a_request(chance: random.Random, *, names: list[str], successor: str | None) -> Request:
    cools_off = chance.random() < 0.5
    resumes = tuple(
        Resume(go_back=True) if chance.random() < 0.2 else Resume(successor=chance.choice([None, *names]))
        for _ in range(chance.choice((0, 1, 1, 2)))
    )
    # As often as not on the day on which the others' cool-off ends.
    return Request(
        successor=successor,
        day=0 if cools_off else chance.choice((0, 0, COOL_OFF_DAYS)),
        after=chance.choice((0, 0, chance.randint(0, _WHILE_OTHERS_ARE_AT_WORK))),
        cools_off=cools_off,
        rescinds=cools_off and chance.random() < 0.15,
        resumes=resumes,
    )


def _an_event(chance: random.Random, *, names: list[str], staying: list[str]) -> Event:
    who, day = chance.choice(names), chance.choice((0, 0, chance.randint(1, COOL_OFF_DAYS)))
    kind = chance.choice((EventKind.ROLES, EventKind.CREATED, EventKind.CREATED, EventKind.GIVEN))
    others = [name for name in staying if name != who]
    if kind is EventKind.GIVEN and others:
        return Event(kind=kind, who=who, day=day, to=chance.choice(others))
    if kind is EventKind.ROLES:
        return Event(kind=kind, who=who, day=day, roles=chance.choices(_ROLES, weights=(2, 1, 3))[0])
    return Event(kind=EventKind.CREATED, who=who, day=day)


def _a_trouble(chance: random.Random, *, names: list[str], going: list[str]) -> Trouble:
    """Few times: it heals within the patience. Many times: it doesn't, and goes on after a resume."""
    times = chance.choice((1, 1, 2, 3, 6, 9))
    if chance.random() < 0.25:
        kind = chance.choice((FaultKind.STATUS, FaultKind.DROP))
        return Trouble(service="accounts", kind=kind, who=chance.choice(names), method="GET", times=times)
    who = chance.choice(going)
    method, kind, status = chance.choice(
        (
            ("GET", FaultKind.STATUS, 500),
            ("GET", FaultKind.DROP, 500),
            ("GET", FaultKind.STATUS, 422),
            ("GET", FaultKind.STATUS, 401),
            ("PUT", FaultKind.STATUS, 500),
            ("PUT", FaultKind.STATUS, 422),
            ("PUT", FaultKind.STATUS, 401),
            ("PUT", FaultKind.LIE, 500),
            ("PUT", FaultKind.LIE, 500),
            ("PUT", FaultKind.LOST_ANSWER, 500),
            ("PUT", FaultKind.LOST_ANSWER, 500),
            ("PUT", FaultKind.DROP, 500),
        )
    )
    return Trouble(service="documents", kind=kind, who=who, method=method, times=times, status=status)
