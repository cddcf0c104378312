"""Addresses of services: whole, safe to send secrets to, and without anything that paths can't be put behind."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.requests import KeyPath
from plans.services import ClientCredentialsAuth, HttpService, SqlService

_REFERENCE = re.compile(r"\$\{[^}]*\}")
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)
_DRIVER = re.compile(r"[a-z][a-z0-9_]*(?:\+([a-z0-9_]+))?://")
_ASYNC = frozenset({"aiomysql", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "psycopg_async"})
ANOTHER_DRIVER = "write another, as postgresql+psycopg://"


def addresses_of(draft: Draft) -> Iterator[tuple[KeyPath, str]]:
    """Every HTTP address of a service, with its place."""
    for id, service in draft.written.services.items():
        if isinstance(service, HttpService):
            yield ("services", id, "base_url"), service.base_url
            if isinstance(service.auth, ClientCredentialsAuth):
                yield ("services", id, "auth", "token_url"), service.auth.token_url


def addresses(draft: Draft) -> Iterator[Finding]:
    """What can be told of addresses by their text."""
    for path, text in addresses_of(draft):
        yield from wrong_with(text, path)
    for id, service in draft.written.services.items():
        if isinstance(service, SqlService):
            yield from wrong_with_database(service.database_url, ("services", id, "database_url"))


def wrong_with(text: str, path: KeyPath) -> Iterator[Finding]:
    """What is wrong with one address. What a reference stands for isn't known, and taken to be right."""
    if "{{" in text:
        yield error(
            Check.ADDRESS,
            path,
            "has a template in it, and a service has one address for everybody; put it into the path",
        )
        return
    parts = _PARTS.fullmatch(_REFERENCE.sub("\0", text))
    if parts is None or parts["scheme"].lower() not in ("http", "https"):
        if not text.startswith("${"):
            yield error(Check.ADDRESS, path, "isn't an absolute address; begin with https:// and the host")
        return
    host = _host_of(parts["authority"])
    if not host:
        yield error(Check.ADDRESS, path, "names no host; write https://host/…")
    if "@" in parts["authority"]:
        yield error(
            Check.ADDRESS,
            path,
            "has credentials in it, which would be recorded with the address; write auth: {type: basic, …}",
        )
    if parts["rest"] and path[-1] == "base_url":
        yield error(Check.ADDRESS, path, "has a ? or #, and paths are put behind it; write the query with the request")
    if parts["scheme"].lower() == "http" and host and "\0" not in host and not _is_loopback(host):
        yield warning(
            Check.PLAIN_HTTP,
            path,
            "is http://, so secrets and personal data are sent for everybody on the way to read; write https://",
        )


def wrong_with_database(text: str, path: KeyPath) -> Iterator[Finding]:
    """What is wrong with the URL of a database, by its text."""
    driver = _DRIVER.match(text)
    if "{{" in text:
        yield error(Check.ADDRESS, path, "has a template in it, and a service has one address for everybody")
    elif text.startswith("postgres://"):
        what = "begins with postgres://, which SQLAlchemy doesn't know; write postgresql+psycopg://"
        yield error(Check.ADDRESS, path, what)
    elif driver is None and not text.startswith("${"):
        what = "isn't an SQLAlchemy URL; write dialect+driver://user:${env:PASSWORD}@host:port/database"
        yield error(Check.ADDRESS, path, what)
    elif driver is not None and driver[1] in _ASYNC:
        what = f"names the driver {driver[1]}, which is for asyncio, and calls are made in threads; {ANOTHER_DRIVER}"
        yield error(Check.ADDRESS, path, what)


def _host_of(authority: str) -> str:
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
