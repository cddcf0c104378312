"""How tests look at the stand-in: learners and rows, what was asked and done, and how to misbehave."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

import httpx

from sandbox.lms.faults import FaultKind
from sandbox.lms.settings import Settings

if TYPE_CHECKING:
    from sandbox.lms.launch import LmsProcess


@dataclass(frozen=True, kw_only=True)
class SeenRequest:
    """A request as the stand-in saw it. `status` is None where it was never answered.

    `route` is the name of what answered (`status`, `update`, `unenroll`, …); None for no such path.
    `monotonic` is comparable between the processes of one machine.
    """

    number: int
    at: float
    monotonic: float
    service: str | None
    route: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str] = field(repr=False)
    body: str
    row_id: int | None
    status: int | None

    @property
    def json(self) -> Any:
        """The body, read; None for an empty one."""
        return json.loads(self.body) if self.body else None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query's parameters in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def new_state(self) -> str | None:
        """Where an update wants the row; None for other requests."""
        return str(self.json["new_state"]) if self.route == "update" else None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Something that was really done, such as `unenroll`, to whom (retirement id and LMS user id)."""

    number: int
    row_id: int | None
    user_id: int | None
    effect: str
    detail: Any


@dataclass(frozen=True, kw_only=True)
class Misbehaviour:
    """A fault that was told, how many requests it has hit, and how many of them it holds now."""

    number: int
    kind: FaultKind
    hits: int
    holding: int


class StandInLms:
    """A running stand-in, seen through its control pages, which no fault touches. Calls block, for a moment only."""

    def __init__(self, *, url: str, process: "LmsProcess | None" = None) -> None:
        self.url = url
        self._process = process
        self.http = httpx.Client(base_url=f"{url}/_sandbox/", timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        """Close with the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connections; the process goes on."""
        self.http.close()

    # The process, where it was started by `running_lms`.

    async def take_down(self) -> None:
        """End the process. Connections are refused until `bring_back`; rows and requests stay, tokens and faults go."""
        assert self._process is not None, "this stand-in was started by somebody else"
        await self._process.stop()

    async def bring_back(self) -> None:
        """Start it again on the same port."""
        assert self._process is not None, "this stand-in was started by somebody else"
        await self._process.start()

    # Learners and their rows.

    def add_learner(
        self,
        username: str,
        email: str | None = None,
        name: str | None = None,
        *,
        state: str | None = "PENDING",
        last_state: str | None = None,
        created: datetime | None = None,
        modified: datetime | None = None,
        orgs: Sequence[str] = ("edX",),
        tracking_id: str | None = None,
        unknown_to: Sequence[str] = (),
        row_id: int | None = None,
        user_id: int | None = None,
        password: str = "correct horse",
    ) -> dict[str, Any]:
        """Make up a learner. Returns the row as L1 shows it, or the learner where `state` is None: not retiring.

        `unknown_to` names the routes that answer 404 about them; `orgs` are those of their active enrollments.
        """
        learner = a_learner(
            username,
            email,
            name,
            state=state,
            last_state=last_state,
            created=created,
            modified=modified,
            orgs=orgs,
            tracking_id=tracking_id,
            unknown_to=unknown_to,
            row_id=row_id,
            user_id=user_id,
            password=password,
        )
        [added] = self.add_learners([learner])
        return dict(added["row"] or added)

    def add_learners(self, learners: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Many at once, all or none, each as `a_learner` makes it. Returns what `learner` does of each."""
        return list(self._ask("POST", "learners", json={"learners": list(learners)}))

    def learners(self) -> list[dict[str, Any]]:
        """Everybody, with username, email, name, active, enrollments as they are now; `row` as L1 shows it, or None."""
        return list(self._ask("GET", "learners"))

    def learner(self, user_id: int) -> dict[str, Any]:
        """One of them by LMS user id, which stays the same."""
        [found] = [learner for learner in self.learners() if learner["id"] == user_id]
        return found

    def row(self, username: str) -> dict[str, Any] | None:
        """A row by original username, as L1 shows it, and `responses`, its log. None where there is none."""
        return self._row({"username": username})

    def row_with_id(self, row_id: int) -> dict[str, Any] | None:
        """The same by retirement id."""
        return self._row({"id": str(row_id)})

    def state(self, username: str) -> str | None:
        """The name of the state that a learner's row is in."""
        row = self.row(username)
        return None if row is None else str(row["current_state"]["state_name"])

    def change_row(self, username: str, **changes: str | datetime) -> dict[str, Any]:
        """Set state, last_state, created or modified, as nobody but an administrator of the database could."""
        texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in changes.items()}
        return dict(self._ask("PATCH", "row", params={"username": username}, json=texts))

    def delete_row(self, username: str) -> None:
        """Take a row away."""
        self._ask("DELETE", "row", params={"username": username})

    def cancel_row(self, username: str) -> None:
        """Rescind as support does by the command of the LMS."""
        self._ask("POST", "cancel", params={"username": username})

    def ask_for_retirement(self, username: str) -> dict[str, Any]:
        """What the learner does on the account page. Returns the new row."""
        return dict(self._ask("POST", "retirement", json={"username": username}))

    # What was asked and done.

    def requests(self, username: str | None = None, *, route: str | None = None, after: int = 0) -> list[SeenRequest]:
        """Requests in the order in which they came: all, or those about a learner who has a row, or of one route."""
        asked = {"after": str(after)}
        if username is not None:
            row = self.row(username)
            assert row is not None, "requests are found by row; ask for all of them where it is gone"
            asked["row_id"] = str(row["id"])
        seen = [SeenRequest(**each) for each in self._ask("GET", "requests", params=asked)]
        return [each for each in seen if route is None or each.route == route]

    def forget_requests(self) -> None:
        """Begin recording and counting anew."""
        self._ask("DELETE", "requests")

    def counts(self) -> dict[str, int]:
        """How often each route was called since the start, the last reset or `forget_requests`."""
        return dict(self._ask("GET", "counts"))

    def effects(self, *, row_id: int | None = None, user_id: int | None = None) -> list[Effect]:
        """What was really done, in order, to one learner or to all."""
        return [
            effect
            for effect in (Effect(**each) for each in self._ask("GET", "effects"))
            if row_id in (None, effect.row_id) and user_id in (None, effect.user_id)
        ]

    def effects_on(self, row: dict[str, Any]) -> list[str]:
        """The names of what was done to a learner, whose row is or was this one: `["mailings", "unenroll"]`."""
        return [effect.effect for effect in self.effects(user_id=row["user"]["id"])]

    def partner_reports(self) -> list[dict[str, Any]]:
        """The rows of partner reports that are not cleaned up yet; `processing` is 1 once they were handed out."""
        return list(self._ask("GET", "partner_reports"))

    def regulations(self) -> list[dict[str, Any]]:
        """What Segment accepted: id, type, values, status."""
        return list(self._ask("GET", "regulations"))

    def finish_segment(self, status: str = "FINISHED") -> None:
        """Segment has worked: every regulation so far has this `overall_status`."""
        self._ask("PATCH", "regulations", json={"status": status})

    def finish_amplitude(self, status: str = "done") -> None:
        """Amplitude has worked: every job so far has this status."""
        self._ask("PATCH", "amplitude", json={"status": status})

    # Certificates.

    def add_certificate(self, user_id: int, **details: Any) -> dict[str, Any]:
        """Keep a certificate of a learner: id, status, name, grade, download_url, download_uuid, verify_uuid, or made up."""
        [added] = self._ask("POST", "certificates", json={"certificates": [{"user_id": user_id, **details}]})
        return dict(added)

    def certificates(self) -> list[dict[str, Any]]:
        """Every certificate as it is now."""
        return list(self._ask("GET", "certificates"))

    def certificate_listing(self) -> str:
        """The CSV that an operator exports from the database of the LMS."""
        return str(self._ask("GET", "listing")["csv"])

    def blank_certificates(self, ids: Sequence[int]) -> list[int]:
        """What the command of the LMS does. Returns the ids that failed."""
        return list(self._ask("POST", "blank", json={"certificate_ids": list(ids)})["failed"])

    # Misbehaving.

    def misbehave(
        self,
        kind: FaultKind | str,
        *,
        route: str | None = None,
        username: str | None = None,
        new_state: str | None = None,
        nth: int = 1,
        times: int | None = 1,
        **how: Any,
    ) -> int:
        """Misbehave from the `nth` fitting request on, `times` times (None: for ever). Returns the fault's number.

        `how` is more of what a `Fault` has: service, method, path; status, body, headers, seconds, location, state.
        """
        fault = {"kind": kind, "route": route, "username": username, "new_state": new_state, "nth": nth, "times": times}
        return int(self._ask("POST", "faults", json={**fault, **how})["number"])

    def hold(self, *, answer: bool = False, **where: Any) -> int:
        """Keep a fitting request waiting before it is done, or its `answer` after that, until `release`.

        To kill a worker just before a request: hold it, kill, release with `done=False`. In the middle of it: hold its
        answer and kill; or hold it, kill, and release it once the next worker is at work, so that it is done late.
        """
        kind = FaultKind.HOLD_ANSWER if answer else FaultKind.HOLD
        return self.misbehave(kind, seconds=None, **where)

    def holding(self, number: int) -> int:
        """How many requests a fault holds at this moment."""
        [found] = [fault for fault in self.faults() if fault.number == number]
        return found.holding

    def release(self, number: int, *, done: bool = True) -> None:
        """Let go whom a fault holds, and forget it. `done=False`: a held request is dropped as if it never arrived."""
        self._ask("POST", "release", json={"number": number, "done": done})

    def faults(self) -> list[Misbehaviour]:
        """The faults that were told."""
        names = ("number", "kind", "hits", "holding")
        return [
            Misbehaviour(**{**{name: fault[name] for name in names}, "kind": FaultKind(fault["kind"])})
            for fault in self._ask("GET", "faults")
        ]

    def behave(self) -> None:
        """Forget every fault; held requests go on."""
        self._ask("DELETE", "faults")

    # The site.

    def settings(self) -> Settings:
        """The site as it is now, with its credentials."""
        return Settings.read(self._ask("GET", "settings"))

    def set(self, **settings: Any) -> None:
        """Change the site: see `Settings`."""
        self._ask("PATCH", "settings", json=settings)

    def revoke_tokens(self) -> None:
        """Refuse every token that was issued so far."""
        self._ask("DELETE", "tokens")

    def learner_token(self, username: str) -> str:
        """A token with which a learner calls the LMS."""
        return str(self._ask("POST", "tokens", json={"username": username})["token"])

    def reset(self) -> None:
        """A fresh site. Ids go on where they were."""
        self._ask("POST", "reset")

    def _row(self, asked: dict[str, str]) -> dict[str, Any] | None:
        response = self.http.get("row", params=asked)
        return None if response.status_code == httpx.codes.NOT_FOUND else dict(_read(response))

    def _ask(self, method: str, page: str, *, params: dict[str, str] | None = None, json: Any = None) -> Any:
        return _read(self.http.request(method, page, params=params, json=json))


def a_learner(username: str, email: str | None = None, name: str | None = None, **details: Any) -> dict[str, Any]:
    """A learner as the control pages want one; see `StandInLms.add_learner`."""
    times = {key: value.isoformat() for key, value in details.items() if isinstance(value, datetime)}
    return {
        "username": username,
        "email": email or f"{username}@learner.example".replace(" ", "."),
        "name": name if name is not None else f"Learner {username}",
        **details,
        **times,
    }


def _read(response: httpx.Response) -> Any:
    assert response.is_success, f"the stand-in's control page refused: {response.text}"
    return response.json() if response.content else None
