"""Finds the route of a request. Most paths are fixed, so that one look into a dict does."""

from collections.abc import Iterable
from urllib.parse import unquote

from sandbox.lms.calls import Route


class Routes:
    """All routes of the site."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._open: dict[int, list[tuple[list[str], Route]]] = {}
        self.names: list[str] = []
        for route in routes:
            self.names.append(route.name)
            if "{" in route.path:
                parts = route.path.split("/")
                self._open.setdefault(len(parts), []).append((parts, route))
            else:
                self._fixed.setdefault(route.path, {})[route.method] = route

    def find(self, *, method: str, path: str) -> tuple[list[Route], dict[str, str]]:
        """The route of a request with its arguments; several where only the method doesn't fit, none for no such path.

        `path` is as it came: it is split before it is decoded, so that a name with a slash stays one segment.
        """
        fixed = self._fixed.get(path)
        if fixed is not None:
            return ([fixed[method]] if method in fixed else list(fixed.values())), {}
        parts = path.split("/")
        others = []
        for wanted, route in self._open.get(len(parts), ()):
            arguments = _arguments(wanted=wanted, parts=parts)
            if arguments is None:
                continue
            if route.method == method:
                return [route], arguments
            others.append(route)
        return others, {}


def _arguments(*, wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    found = {}
    for want, part in zip(wanted, parts, strict=True):
        if want.startswith("{"):
            if not part:
                return None
            found[want[1:-1]] = unquote(part)
        elif want != part:
            return None
    return found
