"""How tests and the demo look at the sandbox's services: effects, requests, what is kept, and how to misbehave."""

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import httpx

from sandbox.faults import Fault, FaultKind


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody to be retired. What isn't given is made up around the id."""

    user_id: str = field(default_factory=lambda: f"u-{secrets.token_hex(4)}")
    username: str = ""
    password: str = field(default="correct horse", repr=False)
    name: str = ""
    email: str = ""
    phone: str = "+49 30 901820"
    locale: str = "en"
    #: Whom they work for, or None.
    org: str | None = "acme"
    roles: tuple[str, ...] = ("member",)
    locked: bool = False
    posts: int = 3
    invoices: int = 2
    documents: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("username", f"name-of-{self.user_id}"),
            ("name", f"Person {self.user_id}"),
            ("email", f"{self.user_id}@person.example"),
        ):
            if not getattr(self, name):
                object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page or a slide, and whose it is."""

    id: str
    title: str
    kind: str = "page"
    owner: str
    owner_name: str
    #: Grows with each change.
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Something a service really changed. `monotonic` is comparable between the services of one machine.

    `asset_id` names the one thing of the person's that was changed, where it wasn't all of them.
    """

    number: int
    at: float
    monotonic: float
    user_id: str
    effect: str
    asset_id: str | None
    idempotency_key: str | None


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request as a service saw it. `status` is None where it was never answered."""

    number: int
    at: float
    monotonic: float
    method: str
    path: str
    user_id: str | None
    idempotency_key: str | None
    status: int | None


@dataclass(frozen=True, kw_only=True)
class ActiveFault(Fault):
    """A fault a service was told, and how often it has applied."""

    number: int
    hits: int


class SandboxService:
    """One service, seen through its control pages, which no fault touches. Calls block, for a moment only."""

    def __init__(self, *, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def __enter__(self) -> Self:
        """Close with the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def add_people(self, people: list[Person]) -> None:
        """Make the people known to this service; who was deleted is written back."""
        response = self.http.post("/_sandbox/users", json={"people": [asdict(person) for person in people]})
        response.raise_for_status()

    def kept(self, user: Person | str) -> dict[str, Any] | None:
        """All that the service keeps of somebody, or None."""
        response = self.http.send(self.http.build_request("GET", f"/_sandbox/users/{_segment(_id(user))}"))
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
        return dict(response.json())

    def effects(self, user: Person | str | None = None) -> list[Effect]:
        """What was really changed, in order, for one person or for all."""
        return [Effect(**row) for row in self._list("/_sandbox/effects", user=user)]

    def effects_on(self, user: Person | str) -> list[str]:
        """The names of the effects on one person, in order: `["lock", "unlock"]`."""
        return [effect.effect for effect in self.effects(user)]

    def requests(self, user: Person | str | None = None) -> list[SeenRequest]:
        """What was asked, in order, for one person or for all."""
        return [SeenRequest(**row) for row in self._list("/_sandbox/requests", user=user)]

    def misbehave(
        self,
        kind: FaultKind,
        *,
        user: Person | str | None = None,
        times: int | None = 1,
        status: int = 500,
        seconds: float = 0,
        retry_after: str | None = None,
        method: str | None = None,
        path_prefix: str | None = None,
    ) -> None:
        """Tell the service to misbehave `times` times (None: for ever), for one person or for all."""
        fault = Fault(
            kind=kind,
            status=status,
            times=times,
            seconds=seconds,
            retry_after=retry_after,
            method=method,
            path_prefix=path_prefix,
            user=None if user is None else _id(user),
        )
        self.http.post("/_sandbox/faults", json=asdict(fault)).raise_for_status()

    def faults(self) -> list[ActiveFault]:
        """The faults told, with how often each applied."""
        return [ActiveFault(**{**row, "kind": FaultKind(row["kind"])}) for row in self._list("/_sandbox/faults")]

    def behave(self) -> None:
        """Forget every fault."""
        self.http.delete("/_sandbox/faults").raise_for_status()

    def _control(self, method: str, path: str, *, json: dict[str, Any] | None = None) -> None:
        self.http.request(method, f"/_sandbox/{path}", json=json).raise_for_status()

    def _list(self, path: str, *, user: Person | str | None = None) -> list[dict[str, Any]]:
        response = self.http.get(path, params={} if user is None else {"user": _id(user)})
        response.raise_for_status()
        return list(response.json())


class AccountsService(SandboxService):
    """The account service, which people log in to."""

    def log_in(self, person: Person) -> str | None:
        """Log in as a person does. The session's token, or None where that is refused."""
        response = self.http.post("/login", json={"username": person.username, "password": person.password})
        return str(response.json()["token"]) if response.is_success else None

    def can_log_in(self, person: Person) -> bool:
        """Does a login work, and does the session it opens?"""
        token = self.log_in(person)
        return token is not None and self.is_session(token)

    def is_session(self, token: str) -> bool:
        """Does the session still work?"""
        return self.http.get("/me", headers={"authorization": f"Bearer {token}"}).is_success

    def set_roles(self, person: Person | str, roles: Sequence[str]) -> None:
        """Give somebody these roles and no others, as whoever runs the service would. No effect is noted."""
        self._control("PUT", f"users/{_segment(_id(person))}/roles", json={"roles": list(roles)})

    def remove(self, person: Person | str) -> None:
        """Delete somebody's account outside of any retirement. No effect is noted."""
        self._control("DELETE", f"users/{_segment(_id(person))}")


class DocumentsService(SandboxService):
    """The documents, which belong to people."""

    def add(self, documents: Iterable[Document]) -> None:
        """Keep documents, all or none, in one request. One that is kept already is overwritten."""
        self._control("POST", "documents", json={"documents": [asdict(document) for document in documents]})

    def add_documents(
        self, *, owner: Person, count: int = 1, titles: Sequence[str] = (), kind: str = "page"
    ) -> list[Document]:
        """Make up `count` documents of somebody, or one with each of the `titles`. Ids are in the order given."""
        batch = secrets.token_hex(4)
        documents = [
            Document(id=f"d-{batch}-{number:05}", title=title, kind=kind, owner=owner.user_id, owner_name=owner.name)
            for number, title in enumerate(
                titles or [f"{kind.capitalize()} {number} by {owner.name}" for number in range(1, count + 1)], start=1
            )
        ]
        self.add(documents)
        return documents

    def document(self, document_id: str) -> Document | None:
        """One document, or None."""
        response = self.http.get(f"/_sandbox/documents/{_segment(document_id)}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
        return Document(**response.json())

    def documents_of(self, user: Person | str) -> list[Document]:
        """What somebody owns, ordered by id, without pages."""
        response = self.http.get("/_sandbox/documents", params={"owner": _id(user)})
        return [Document(**row) for row in response.raise_for_status().json()]

    def all_documents(self) -> list[Document]:
        """Every document, ordered by id."""
        return [Document(**row) for row in self._list("/_sandbox/documents")]

    def transfers(self, user: Person | str | None = None) -> Counter[str]:
        """How often each document was moved away from somebody, or in all, by id."""
        return Counter(effect.asset_id or "" for effect in self.effects(user) if effect.effect == "transfer")


class MailboxService(SandboxService):
    """The mailbox, where everybody's mails arrive."""

    def mails(self, to: Person | str | None = None) -> list[dict[str, Any]]:
        """The mails in order: number, at, to, from, message_id, subject, text, html, headers."""
        address = to.email if isinstance(to, Person) else to
        response = self.http.get("/mails", params={} if address is None else {"to": address})
        response.raise_for_status()
        return list(response.json())


def _id(user: Person | str) -> str:
    return user.user_id if isinstance(user, Person) else user


def _segment(value: str) -> str:
    # Every byte: httpx would take a dot segment apart.
    return "".join(f"%{byte:02X}" for byte in value.encode())
