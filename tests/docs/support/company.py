"""The services of the cookbook's company: one real HTTP server, each service under a path of its own."""

import base64
import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_service import Received, Reply

#: What each service keeps, by service and collection. Everything else is a route that doesn't exist.
_COLLECTIONS = {
    "accounts": {"users", "orgs"},
    "forum": {"authors"},
    "documents": {"documents"},
    "boards": {"members", "boards"},
    "blog": {"comments"},
    "storage": {"files"},
    "sales": {"agents", "customers"},
    "wiki": {"editors"},
    "shop": {"customers"},
    "analytics": {"users", "deletions"},
    "billing": {"customers"},
    "newsletter": {"subscribers"},
    "old_list": {"members"},
    "identity": {"oauth"},
    "crm": {"contacts"},
    "helpdesk": {"requesters"},
    "cloud": {"accounts", "deletion-requests"},
    "backups": {"owners", "purges"},
    "mailboxes": {"mailboxes"},
    "names": {"usernames", "addresses"},
    "payroll": {"staff"},
}
#: Collections of which somebody's are listed, and the field that says whose each is.
_OWNED_BY = {("documents", "documents"): "owner", ("boards", "boards"): "owner"}
_OWNED_BY |= {("blog", "comments"): "author", ("storage", "files"): "owner"}
_ON_A_PAGE = 2
#: Whom everybody may call.
_OPEN = {"old_list"}

Record = dict[str, Any]


class Company:
    """Keeps records by path (`forum/authors/u-1`, decoded) and answers as such services do. Knows no Idempotency-Key."""

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._numbers = itertools.count(1)
        self.kept: dict[str, Record] = {}
        #: Each change that was made: method and decoded path.
        self.changes: list[tuple[str, str]] = []
        #: As they came, still encoded.
        self.targets: list[str] = []
        #: How often the help desk has said that it is too much.
        self.refused_for_rate = 0
        #: How many tokens were given out; only the latest is good, until it is revoked.
        self.tokens = 0
        self.revoked = 0

    def answer(self, request: Received) -> Reply:
        """One answer. Whoever can't show who they are learns from a 401 that the route exists."""
        target = urlsplit(request.target)
        segments = [unquote(segment) for segment in target.path.strip("/").split("/")]
        if len(segments) < 3 or segments[1] not in _COLLECTIONS.get(segments[0], set()):
            is_listed = tuple(segments) in _OWNED_BY
            if not is_listed and segments[1:] not in (["deletions"], ["deletion-requests"], ["purges"]):
                return Reply(status=404)
        if not self._is_known(request, service=segments[0]):
            return Reply(status=401)
        self.targets.append(target.path)
        before = {path: dict(record) for path, record in self.kept.items()}
        reply = self._done(request, segments, query={name: one for name, [one] in parse_qs(target.query).items()})
        if self.kept != before:
            self.changes.append((request.method, "/".join(segments)))
        return reply

    def _is_known(self, request: Received, *, service: str) -> bool:
        def secret(name: str) -> str:
            return self._environment[f"{service.upper()}_{name}"]

        def basic(user: str, password: str) -> str:
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

        shown = request.headers.get("authorization")
        match service:
            case "old_list":
                return True
            case "analytics" | "newsletter":
                return request.headers.get("x-api-key") == secret("KEY")
            case "helpdesk":
                return shown == basic("retirement", secret("PASSWORD"))
            case "identity":
                ours = self._environment
                return shown == basic(ours["CRM_CLIENT_ID"], ours["CRM_CLIENT_SECRET"])
            case "crm":
                return self.tokens > self.revoked and shown == f"Bearer crm-{self.tokens}"
        return shown == f"Bearer {secret('TOKEN')}"

    def _done(self, request: Received, segments: list[str], *, query: Mapping[str, str]) -> Reply:
        path, kept = "/".join(segments), self.kept
        match request.method, segments:
            case "GET", [_, _] if tuple(segments) in _OWNED_BY:
                return self._owned(segments, query)
            case "PUT", [*_, "owner"] if path.removesuffix("/owner") in kept:
                return self._hand_over(kept[path.removesuffix("/owner")], **request.json)
            case "DELETE", ["sales", "agents", id] if path in kept:
                for record in kept.values():
                    if record.get("agent") == id:
                        record["agent"] = query["reassign_to"]
            case "DELETE", ["storage", "files", _] if path in kept and kept[path]["owner"] != query["owner"]:
                return Reply(status=409)
        match request.method, segments:
            case "POST", ["accounts", "users", id, ("lock" | "unlock") as verb]:
                kept[f"accounts/users/{id}"]["locked"] = verb == "lock"
                return Reply(status=204)
            case "GET", ["accounts", "users", id, "owned-teams"]:
                return self._owned_teams(id, page=int(query.get("page", "1")))
            case "GET", ["accounts", "orgs", org, "admins"]:
                return self._admins(org, page=int(query.get("page", "1")))
            case "DELETE", ["shop", "customers", _] if kept.get(path, {}).get("orders"):
                return Reply(status=409)
            case _, ["billing", "customers", id, "cards"]:
                return self._cards(request.method, id)
            case "POST", ["identity", "oauth", "token"]:
                self.tokens += 1
                return Reply(body={"access_token": f"crm-{self.tokens}", "expires_in": 300})
            case "DELETE", ["crm", "contacts", _] if self.revoked == 0:
                # The provider has revoked what it gave us for the probe.
                self.revoked = self.tokens
                return Reply(status=401)
            case "DELETE", ["helpdesk", *_] if self.refused_for_rate < 2:
                self.refused_for_rate += 1
                return Reply(status=429, headers={"retry-after": "1"})
            case _, ["analytics", "deletions", *number]:
                return self._deletion(request, *number)
            case _, ["cloud", "deletion-requests", *rest]:
                return self._deletion_request(request, *rest)
            case _, ["backups", "purges", *rest]:
                return self._purge(request, *rest)
            case "GET", _ if path in kept:
                return Reply(body=kept[path])
            case "DELETE", _ if path in kept:
                del kept[path]
                return Reply(status=204)
            case "PATCH", _ if path in kept:
                kept[path].update(request.json)
                return Reply(status=204)
            case "PUT", _:
                kept[path] = kept.get(path, {}) | request.json
                return Reply(status=204)
        return Reply(status=404)

    def _admins(self, org: str, *, page: int) -> Reply:
        """One a page."""
        found = [path for path, record in self.kept.items() if record.get("role") == "admin" and record["org"] == org]
        following = f"/accounts/orgs/{org}/admins?page={page + 1}" if page < len(found) else None
        return Reply(body={"items": [self.kept[path] for path in found[page - 1 : page]], "next": following})

    def _owned_teams(self, user_id: str, *, page: int) -> Reply:
        """One a page, each with how many own it."""
        owned = [record.get("owned_teams", []) for record in self.kept.values()]
        teams = self.kept[f"accounts/users/{user_id}"]["owned_teams"]
        found = [{"id": team, "owners": sum(team in each for each in owned)} for team in teams]
        following = f"/accounts/users/{user_id}/owned-teams?page={page + 1}" if page < len(found) else None
        return Reply(body={"items": found[page - 1 : page], "next": following})

    def _owned(self, segments: list[str], query: Mapping[str, str]) -> Reply:
        """What belongs to somebody, a few on a page."""
        whose, page = _OWNED_BY[segments[0], segments[1]], int(query.get("page", "1"))
        below = "/".join(segments) + "/"
        found = [
            {"id": path.removeprefix(below), **record}
            for path, record in self.kept.items()
            if path.startswith(below) and record[whose] == query[whose]
        ]
        first, last = (page - 1) * _ON_A_PAGE, page * _ON_A_PAGE
        following = f"/{'/'.join(segments)}?{whose}={query[whose]}&page={page + 1}" if len(found) > last else None
        return Reply(body={"items": found[first:last], "next": following})

    def _hand_over(self, record: Record, *, owner: str, expected: str) -> Reply:
        if record["owner"] != expected:
            return Reply(status=409)
        record["owner"] = owner
        return Reply(status=204)

    def _cards(self, method: str, id: str) -> Reply:
        customer = self.kept.get(f"billing/customers/{id}")
        if customer is None:
            return Reply(status=404)
        if method == "DELETE":
            customer["cards"] = []
        return Reply(body={"cards": customer["cards"]})

    def _deletion(self, request: Received, number: str | None = None) -> Reply:
        """Accepted, then at work for one question, then done."""
        if number is None:
            made = next(self._numbers)
            self.kept[f"analytics/deletions/{made}"] = {"user": request.json["user"], "state": "working"}
            return Reply(status=202, body={"id": made}, headers={"location": f"/analytics/deletions/{made}"})
        job = self.kept[f"analytics/deletions/{number}"]
        told = dict(job)
        job["state"] = "done"
        if told["state"] == "done":
            self.kept.pop(f"analytics/users/{job['user']}", None)
        return Reply(body=told)

    def _deletion_request(self, request: Received, id: str | None = None, verb: str | None = None) -> Reply:
        if id is None:
            made = f"request-{next(self._numbers)}"
            self.kept[f"cloud/deletion-requests/{made}"] = {"account": request.json["account"]}
            return Reply(status=201, body={"id": made})
        asked = self.kept.pop(f"cloud/deletion-requests/{id}", None)
        if asked is None:
            return Reply(status=404)
        if verb == "confirm":
            self.kept.pop(f"cloud/accounts/{asked['account']}", None)
        return Reply(status=204)

    def _purge(self, request: Received, id: str | None = None) -> Reply:
        if id is None:
            made = f"purge-{next(self._numbers)}"
            self.kept[f"backups/purges/{made}"] = {"owner": request.json["owner"]}
            return Reply(status=201, body={"purge": made})
        purge = self.kept.pop(f"backups/purges/{id}", None)
        if purge is None:
            return Reply(status=404)
        if request.json == {"confirmed": True}:
            self.kept.pop(f"backups/owners/{purge['owner']}", None)
        return Reply(status=204)
