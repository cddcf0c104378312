"""What a plan needs of the machine it runs on: secrets, drivers, installed code. Told only where it is asked for."""

from collections.abc import Iterator
from importlib.metadata import entry_points

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from plans.checks.addresses import ANOTHER_DRIVER, addresses_of, wrong_with, wrong_with_database
from plans.checks.credentials import references_of, well_spelt_in
from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error
from plans.checks.language import nearest
from plans.checks.walking import requests_of
from plans.requests import CALLS_GROUP, KeyPath, PythonRequest
from plans.secrets import SecretMissing, resolve
from plans.services import SqlService

_RESOLVED = "with its references resolved on this machine"
_OR_LEAVE_OUT = "or check without what is this machine's, by --no-secrets"


def secrets(draft: Draft) -> Iterator[Finding]:
    """References that can't be resolved here, each once."""
    told: set[str] = set()
    for path, text in references_of(draft):
        for reference in well_spelt_in(text):
            if reference not in told and (what := _lacking(reference)) is not None:
                told.add(reference)
                yield error(Check.NOT_HERE, path, what)


def addresses(draft: Draft) -> Iterator[Finding]:
    """Addresses that turn out wrong once their references are resolved. The values themselves are never told."""
    for path, text in addresses_of(draft):
        if "${" not in text or "{{" in text or any(True for _ in wrong_with(text, path)):
            continue
        try:
            resolved = resolve(text)
        except SecretMissing:
            continue
        for found in wrong_with(resolved, path):
            yield Finding(
                check=found.check,
                path=path,
                what=f"{_RESOLVED}, {found.what}",
                severity=found.severity,
            )


def databases(draft: Draft) -> Iterator[Finding]:
    """Database URLs that SQLAlchemy can't read here, or has no driver for."""
    for id, service in draft.written.services.items():
        path: KeyPath = ("services", id, "database_url")
        if not isinstance(service, SqlService) or any(True for _ in wrong_with_database(service.database_url, path)):
            continue
        try:
            dialect = make_url(resolve(service.database_url)).get_dialect()
            if dialect.is_async:
                yield error(Check.ADDRESS, path, f"{_RESOLVED}, names a driver for asyncio; {ANOTHER_DRIVER}")
                continue
            dialect.import_dbapi()
        except SecretMissing:
            continue
        except (NoSuchModuleError, ImportError):
            yield error(
                Check.NOT_HERE,
                path,
                "needs a database driver that isn't installed here; install it (psycopg, for postgresql+psycopg://), "
                f"{_OR_LEAVE_OUT}",
            )
        except ArgumentError:
            yield error(
                Check.ADDRESS,
                path,
                f"{_RESOLVED}, isn't an SQLAlchemy URL; write dialect+driver://user:password@host:port/database",
            )


def calls(draft: Draft) -> Iterator[Finding]:
    """Entry points that no installed package offers, or several."""
    asked = [each for each in requests_of(draft.written) if isinstance(each.request, PythonRequest)]
    if not asked:
        return
    offered: dict[str, set[tuple[str, str]]] = {}
    for entry in entry_points(group=CALLS_GROUP):
        package = entry.dist.name if entry.dist is not None else entry.module
        offered.setdefault(entry.name, set()).add((package, entry.value))
    for each in asked:
        assert isinstance(each.request, PythonRequest)
        name, path = each.request.call, (*each.path, "call")
        if name not in offered:
            close = nearest(name, offered)
            known = f"did you mean '{close}'?" if close else f"installed: {', '.join(sorted(offered)) or 'none'}"
            yield error(
                Check.NOT_HERE,
                path,
                f"is offered by no package that is installed here ({known}); install it (entry point group {CALLS_GROUP}), "
                f"{_OR_LEAVE_OUT}",
            )
        elif len(offered[name]) > 1:
            packages = ", ".join(sorted(package for package, _ in offered[name]))
            yield error(
                Check.NOT_HERE, path, f"is offered by several packages here ({packages}); uninstall all but one"
            )


def _lacking(reference: str) -> str | None:
    try:
        value = resolve(reference)
    except SecretMissing:
        how = "isn't set here; set it" if reference.startswith("${env:") else "can't be read here; mount the file"
        return f"{reference} {how}, {_OR_LEAVE_OUT}"
    if not value:
        return f"{reference} is empty here; give it a value, {_OR_LEAVE_OUT}"
    return None
