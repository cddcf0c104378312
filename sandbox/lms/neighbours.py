"""The Open edX services beside the LMS. They take its token, and know learners whatever state their row is in."""

import sqlite3
from collections.abc import Iterable, Mapping

from sandbox.lms.calls import Answer, Call, Route
from sandbox.lms.settings import Settings
from sandbox.lms.store import Store


class Neighbours:
    """Credentials, ecommerce, demographics, the license manager, and a service of the site's own."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The calls, each below the path that stands for the service's own host."""
        name = {"username": str}
        number = {"lms_user_id": int}
        yield self._retire("credentials", "/credentials/user/retire/", name, status=200)
        yield self._retire("ecommerce", "/ecommerce/api/v2/user/retire/", name, status=200)
        yield self._retire("demographics", "/demographics/demographics/api/v1/retire_demographics/", number, status=200)
        both = {**number, "original_username": str}
        yield self._retire("license_manager", "/license_manager/api/v1/retire_user/", both, status=204)
        yield self._retire("extra", f"/extra/{self._settings.extra_path}/", {"edx_lms_user_id": int}, status=204)
        yield Route(
            name="tracking_id",
            service="ecommerce",
            method="GET",
            path="/ecommerce/api/v2/retirement/tracking_id/{username}/",
            endpoint=self._tracking_id,
        )

    def _retire(self, service: str, path: str, keys: Mapping[str, type], *, status: int) -> Route:
        name = f"retire_{service}"

        def endpoint(call: Call) -> Answer:
            user = self._user(call.read(keys))
            if user is None or not self._store.is_known(user, to=name):
                return Answer(status=404)
            self._store.effect(service, user_id=user["id"])
            return Answer(status=status)

        return Route(name=name, service=service, method="POST", path=path, endpoint=endpoint)

    def _tracking_id(self, call: Call) -> Answer:
        call.nothing_sent()
        user = self._store.user_once_named(call.arguments["username"])
        if user is None or user["tracking_id"] is None or not self._store.is_known(user, to="tracking_id"):
            return Answer(status=404, body={"message": "Invalid user."})
        told = {"id": user["id"] - 1_000_000, "ecommerce_tracking_id": user["tracking_id"], "lms_user_id": user["id"]}
        return Answer(body=told)

    def _user(self, body: Mapping[str, object]) -> sqlite3.Row | None:
        """The learner; a number and a name that are given both must be of the same one."""
        number = body.get("lms_user_id", body.get("edx_lms_user_id"))
        name = body.get("original_username", body.get("username"))
        named = self._store.user_once_named(str(name)) if name is not None else None
        numbered = self._store.user(int(str(number))) if number is not None else None
        if name is not None and number is not None:
            return named if named is not None and numbered is not None and named["id"] == numbered["id"] else None
        return named or numbered
