"""A plan of one service, the service, and trials of the plan."""

from collections.abc import Callable
from typing import Any

from activities.actions.dispatch import Actions
from plans.defaults import with_defaults
from plans.model import Plan
from starter.sheet import plain
from starter.trial.findings import Findings, Question
from starter.trial.telling import lines_of
from starter.trial.trial import try_plan
from tests.support.http_service import HttpService, Received, Reply

USER = "ada-1815"
TOKEN = "t0ken-of-the-forum"
#: What belongs to the person and must never be shown unasked.
PERSONAL = (USER, "ada@example.org", "Ada Lovelace", "countess")
Document = dict[str, Any]


class Forum:
    """A forum that does everything right: it wants a token, knows one author, and tells the others by 404."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.author: Any = {"id": USER, "mail": "ada@example.org", "name": "Ada Lovelace", "roles": ["countess"]}
        service.otherwise(self.answer)

    def answer(self, received: Received) -> Reply:
        """What everybody is answered, as long as the test says nothing else."""
        path = received.target.partition("?")[0]
        if not path.startswith("/authors"):
            return Reply(status=404)
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(status=401)
        if received.method != "GET":
            return Reply(status=204)
        return Reply(body=self.author) if path == f"/authors/{USER}" else Reply(status=404, body={"error": "nobody"})

    def answers(self, status: int, **reply: Any) -> None:
        """Answer everything that has a token like this."""
        self.service.otherwise(lambda received: Reply(status=status, **reply))


def a_document(change: Callable[[Document], None] | None = None) -> Document:
    """A plan of one service, changed as asked."""
    document: Document = {
        "plan": "acme",
        "subject": {
            "lookup": {
                "service": "forum",
                "request": {"method": "GET", "path": "/authors/{{ user_id }}"},
                "fields": {"email": "{{ body.mail }}", "roles": "{{ body.roles }}"},
            }
        },
        "cool_off": {"duration": "14d"},
        "services": {
            "forum": {"base_url": "${env:FORUM_URL}", "auth": {"type": "bearer", "token": "${env:FORUM_TOKEN}"}}
        },
        "steps": {
            "author": {
                "phase": "erase",
                "service": "forum",
                "request": {"method": "DELETE", "path": "/authors/{{ user_id }}"},
                "absent": [404],
                "probe": {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}},
            }
        },
    }
    if change is not None:
        change(document)
    return document


def probe_of(document: Document) -> Document:
    """The probe of its only step."""
    return document["steps"]["author"]["probe"]  # type: ignore[no-any-return]


def lookup_of(document: Document) -> Document:
    """Its lookup."""
    return document["subject"]["lookup"]  # type: ignore[no-any-return]


async def tried(document: Document, **how: Any) -> Findings:
    """What a trial with our author finds; `how` are arguments of `try_plan`."""
    actions = Actions(version="0.test")
    try:
        plan = with_defaults(Plan.model_validate(document))
        return await try_plan(plan, action=actions, **{"user_id": USER, **how})
    finally:
        await actions.close()


def told(findings: Findings) -> str:
    """As a person reads it."""
    return "\n".join(plain(line) for line in lines_of(findings))


def codes(part: Question | None) -> list[str]:
    """What is remarked about a question, for scripts."""
    assert part is not None
    return [remark.code for remark in part.remarks]
