"""A graph put into the services, and what happens there beside the retirements."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.client import Document, Person
from sandbox.launch import Sandbox
from tests.ownership.graphs import Event, EventKind, Graph


@dataclass(kw_only=True)
class World:
    """A graph's people and documents, under ids that nobody else has. All times are the machine's, as in the services' logs."""

    graph: Graph
    nonce: str
    sandbox: Sandbox
    people: dict[str, Person] = field(default_factory=dict)
    #: Whose each document was when it came into being, and when that was.
    born: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: When a document went to somebody else by no retirement, and to whom.
    given: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    #: Since when somebody has had which roles.
    roles: dict[str, list[tuple[float, tuple[str, ...]]]] = field(default_factory=dict)

    def id_of(self, name: str) -> str:
        """What somebody of the graph is called by the services."""
        return f"{self.nonce}-{name}"

    def person(self, user_id: str) -> Person:
        """Whoever the services call so."""
        return next(person for person in self.people.values() if person.user_id == user_id)

    def __post_init__(self) -> None:
        now = time.monotonic()
        for someone in self.graph.people:
            id = self.id_of(someone.name)
            person = Person(user_id=id, org=self.id_of(someone.org), roles=someone.roles, documents=someone.documents)
            self.people[someone.name] = person
            self.roles[id] = [(now, someone.roles)]
            self.born |= {f"{id}-{number:05}": (id, now) for number in range(1, someone.documents + 1)}

    def trouble(self) -> None:
        """Tell the services how to misbehave."""
        for trouble in self.graph.troubles:
            self.sandbox.services[trouble.service].misbehave(
                trouble.kind,
                user=self.id_of(trouble.who),
                method=trouble.method,
                times=trouble.times,
                status=trouble.status,
            )

    def happen(self, event: Event, *, may_own_more: bool) -> None:
        """Carry it out. Where nobody could do it any more, as they are gone or locked out, nothing happens."""
        person = self.people[event.who]
        match event.kind:
            case EventKind.ROLES if self.sandbox.accounts.kept(person):
                self.sandbox.accounts.set_roles(person, event.roles)
                self.roles[person.user_id].append((time.monotonic(), event.roles))
            case EventKind.CREATED if may_own_more:
                id = f"{person.user_id}-new-{len(self.born)}"
                self.born[id] = (person.user_id, time.monotonic())
                self._write(id, owner=person)
            case EventKind.GIVEN:
                for document in self.sandbox.documents.documents_of(person)[:1]:
                    to = self.people[event.to]
                    self._write(document.id, owner=to)
                    self.given.setdefault(document.id, []).append((time.monotonic(), to.user_id))

    def _write(self, id: str, *, owner: Person) -> None:
        self.sandbox.documents.add([Document(id=id, title=id, owner=owner.user_id, owner_name=owner.name)])


def settle(worlds: Iterable[World], *, sandbox: Sandbox) -> None:
    """Put everybody into the services, with what they own."""
    people = [person for world in worlds for person in world.people.values()]
    sandbox.add_people(people, at=("accounts", "documents"))
