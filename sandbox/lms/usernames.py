"""The calls that replace usernames: one of the LMS, which decides on the new name, and one of each service."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.lms.calls import Answer, Call, Refused, Route
from sandbox.lms.settings import Settings
from sandbox.lms.store import Store

_PATHS = {
    "lms": "/api/user/v1/accounts/replace_usernames/",
    "ecommerce": "/ecommerce/api/v2/user_management/replace_usernames/",
    "discovery": "/discovery/api/v1/replace_usernames/",
    "credentials": "/credentials/api/v2/replace_usernames/",
    "forum": "/api/discussion/v1/accounts/replace_usernames/",
}


class Usernames:
    """Replacing at all services. Which names a service fails is in the settings."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The calls. The forum is asked by way of the LMS."""
        for service, path in _PATHS.items():
            yield Route(
                name=f"replace_{service}",
                service="lms" if service == "forum" else service,
                method="POST",
                path=path,
                endpoint=self._endpoint(service),
            )

    def _endpoint(self, service: str) -> Callable[[Call], Answer]:
        def endpoint(call: Call) -> Answer:
            mappings = call.read({"username_mappings": list})["username_mappings"]
            if not mappings or not all(map(_is_mapping, mappings)):
                raise Refused(400, "username_mappings is a list of objects with one old and new username each")
            done, failed = [], []
            for mapping in mappings:
                [(old, new)] = mapping.items()
                given = None if self._fails(service, old) else self._replace(service, old=old, new=new)
                if given is None:
                    failed.append({old: new})
                else:
                    done.append({old: given})
            return Answer(body={"successful_replacements": done, "failed_replacements": failed})

        return endpoint

    def _fails(self, service: str, old: str) -> bool:
        return old in self._settings.failing_replacements.get(service, ())

    def _replace(self, service: str, *, old: str, new: str) -> str | None:
        """The name that was given; None where nobody has the old one. Services believe what they are told."""
        user = self._store.user_named(old) if service == "lms" else self._store.user_named(new)
        if service == "lms":
            if user is None:
                return None
            new = self._free(new)
            self._store.database.execute("update users set username = ? where id = ?", (new, user["id"]))
        self._store.effect(f"replace_{service}", user_id=user["id"] if user else None, detail=[old, new])
        return new

    def _free(self, wanted: str) -> str:
        """The name, or where it is taken the first of it with a number that is not."""
        name, number = wanted, 0
        while self._store.user_named(name) is not None:
            number += 1
            name = f"{wanted}{number}"
        return name


def _is_mapping(entry: Any) -> bool:
    return isinstance(entry, dict) and len(entry) == 1 and all(isinstance(value, str) for value in entry.values())
