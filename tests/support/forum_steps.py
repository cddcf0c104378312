"""A plan of steps at a forum, and how the forum answers them."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.support.http_service import HttpService, Received, Reply
from tests.support.step_case import USER, StepCase, step_case

AUTHOR = f"/authors/{USER}"


def a_plan(service: HttpService, **overrides: Any) -> dict[str, Any]:
    """A lookup, a lock that can be undone, and an erasure with a probe, all at one service that takes a fixed token."""
    steps = {
        "lock": {
            "phase": "freeze",
            "service": "forum",
            "request": {"method": "POST", "path": "/authors/{{ user_id }}/lock"},
            "save": {"was_locked": "{{ body.was_locked }}"},
            "undo": {
                "request": {"method": "POST", "path": "/authors/{{ user_id }}/unlock"},
                "when": "not saved.lock.was_locked",
            },
        },
        "author": an_erasure(),
        "posts": an_erasure(probe=None, path="/authors/{{ user_id }}/posts"),
        "invoices": {"phase": "erase", "retain": {"ground": "tax law", "for": "30d"}},
    }
    lookup = {
        "service": "forum",
        "request": {"method": "GET", "path": "/users/{{ user_id }}"},
        "fields": {"email": "{{ body.email }}"},
    }
    return {
        "plan": "test",
        "subject": {"lookup": lookup | overrides.pop("lookup", {}), **overrides.pop("subject", {})},
        "services": {"forum": {"base_url": service.url, "auth": {"type": "bearer", "token": "t-1"}, "timeout": "2s"}},
        "steps": {**steps, **overrides.pop("steps", {})},
        **overrides,
    }


def an_erasure(**overrides: Any) -> dict[str, Any]:
    """A step that deletes the author, and looks whether they are gone."""
    path = overrides.pop("path", "/authors/{{ user_id }}")
    probe = {"request": {"method": "GET", "path": "/authors/{{ user_id }}"}}
    return {
        "phase": "erase",
        "service": "forum",
        "request": {"method": "DELETE", "path": path},
        "absent": [404],
        "probe": probe,
        **overrides,
    }


def opened(
    folder: Path, service: HttpService, *, user_id: str = USER, **overrides: Any
) -> AbstractAsyncContextManager[StepCase]:
    """A case of that plan, open."""
    return step_case(folder, a_plan(service, **overrides), user_id=user_id)


def guarded(status: int) -> Any:
    """A route that exists: it asks a stranger for credentials."""
    return lambda received: Reply(status=status if "authorization" in received.headers else 401)


class Author:
    """An author who is there until deleted. `deaf` deletions are answered as done and change nothing."""

    def __init__(self, service: HttpService, *, deaf: int = 0) -> None:
        self.is_there = True
        self.deaf = deaf
        service.on("GET", AUTHOR, lambda received: Reply(status=200 if self.is_there else 404))
        service.on("DELETE", AUTHOR, self._delete)

    def _delete(self, received: Received) -> Reply:
        if self.deaf:
            self.deaf -= 1
        else:
            self.is_there = False
        return Reply(status=204)
