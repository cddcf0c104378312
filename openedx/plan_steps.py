"""The driver's rows as steps of a plan: one chain in the order of the file, each with its two states in the LMS."""

from typing import Any

from openedx.driver_file import DriverFile
from openedx.methods import SERVICES, Kind
from openedx.pipeline import Row, name_of

_PREFIX = "RETIRING_"
#: Steps may take long: the LMS deletes rows of many tables in one request.
_TIMEOUT, _LONGEST_TIMEOUT, _PATIENCE = "120s", "10m", "24h"
#: Said of steps that need nothing of the LMS.
_DEFERRABLE = "While it fails, all that follows waits; with `deferrable: true` the following steps run meanwhile."


def steps_of(file: DriverFile) -> tuple[dict[str, Any], dict[str, str]]:
    """The steps by id, and the comments about them."""
    steps: dict[str, Any] = {}
    comments: dict[str, str] = {}
    previous: str | None = None
    for row in file.rows:
        id = name_of(row.start.removeprefix(_PREFIX), taken=steps, otherwise="step")
        steps[id] = _step(row, id=id, after=previous, file=file)
        about = [row.method.comment] if row.method.comment else []
        if _is_vendor(row):
            about.append(_DEFERRABLE)
        if about:
            comments[id] = "\n".join(about)
        previous = id
    return steps, comments


def _is_vendor(row: Row) -> bool:
    known = SERVICES.get(row.method.service)
    return known is not None and known.kind is Kind.VENDOR


def _step(row: Row, *, id: str, after: str | None, file: DriverFile) -> dict[str, Any]:
    method = row.method
    more = {name: _filled(value, id=id, file=file) for name, value in method.more.items()}
    step: dict[str, Any] = {"phase": "erase"}
    if after is not None:
        step["after"] = [after]
    mirrored = {"working": row.start, "done": row.end}
    if not method.verb:
        return {**step, "mirrored": mirrored, **more, "patience": _PATIENCE}
    known = SERVICES.get(method.service)
    find = {"find": more.pop("find")} if "find" in more else {}
    return {
        **step,
        "service": known.id if known is not None else file.extra_services[method.service].id,
        "mirrored": mirrored,
        **find,
        "request": _request(row, id=id, file=file),
        **more,
        "absent": list(method.absent),
        "timeout": _TIMEOUT,
        "longest_timeout": _LONGEST_TIMEOUT,
        "patience": _PATIENCE,
        "unprobed": method.unprobed,
    }


def _request(row: Row, *, id: str, file: DriverFile) -> dict[str, Any]:
    method, body = row.method, row.method.body
    if method.body_without_tracking_id is not None and not file.fetch_tracking_id:
        body = method.body_without_tracking_id
    request = {"method": method.verb, "path": _filled(method.path, id=id, file=file)}
    return request if body is None else {**request, "json": body}


def _filled(value: Any, *, id: str, file: DriverFile) -> Any:
    """The same data with the step's id and the file's settings in place of `{step}` and `{key}`."""
    match value:
        case dict():
            return {key: _filled(item, id=id, file=file) for key, item in value.items()}
        case str():
            for name, setting in {"step": id, **file.settings}.items():
                value = value.replace(f"{{{name}}}", setting)
    return value
