"""A service's address and secrets as its plan writes them. References stay references; a secret written out is not shown."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plans.services import Service

#: What may be a secret in an address: a password, and a query. A NUL stands for each reference while this is looked for.
_SECRETS = re.compile(r"(?<=:)[^:/@]+(?=@)|(?<=\?).+", flags=re.DOTALL)


def address_of(service: "Service") -> str | None:
    """The address as written, but for a password or query that is written out in it. None for Python code."""
    from plans.secrets import split_references
    from plans.services import HttpService, SqlService

    match service:
        case HttpService():
            written = service.base_url
        case SqlService():
            written = service.database_url
        case _:
            return None
    parts = split_references(written.replace("\0", ""))
    references = iter([part for is_reference, part in parts if is_reference])
    plain = "".join("\0" if is_reference else part for is_reference, part in parts)
    masked = _SECRETS.sub(lambda secret: re.sub(r"[^\0]+", "…", secret.group(0)), plain)
    return re.sub("\0", lambda _: next(references), masked)


def references_of(service: "Service", *, sent: Iterable[str]) -> list[str]:
    """The secret references of a service and of the texts it is sent, each once: what its workers' environment has to hold."""
    written = [service.model_dump(mode="json", by_alias=True), list(sent)]
    return list(dict.fromkeys(_references_in(written)))


def _references_in(data: Any) -> list[str]:
    from plans.requests import texts_in
    from plans.secrets import split_references

    return [part for _, text in texts_in(data, ()) for is_reference, part in split_references(text) if is_reference]
