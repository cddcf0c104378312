"""Secrets: that they are references, spelt right, and not written out."""

import re
from collections.abc import Iterator, Mapping

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.walking import requests_of
from plans.requests import HttpRequest, KeyPath
from plans.services import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    HttpService,
    PythonService,
    Service,
    SqlService,
)
from plans.template_places import PLACES

_REFERENCE = re.compile(r"\$\{([^}]*)\}?")
_WELL_SPELT = re.compile(r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:/[^}]*)\}")
#: Names of headers, parameters and settings whose value is a secret, and of such as likely is one.
_SECRET = re.compile(
    r"(x-)?((proxy-)?authori[sz]ation|api[-_]?key|(access|auth)?[-_]?token|passw(or)?d|(client[-_]?)?secret)",
    re.IGNORECASE,
)
_PERHAPS_SECRET = re.compile(r"secret|passw|passphrase|cookie|api[-_]?key", re.IGNORECASE)
#: `user:password@` in a URL, with what stands for the password.
_PASSWORD = re.compile(r"^[^:/]+://[^/@]*?:((?:\$\{[^}]*\}|[^@/$])*)@")
#: Form fields of a token request that the plan doesn't write as such, and what it writes instead.
_SENT_ANYWAY = {
    "grant_type": "it is always client_credentials: remove it",
    "client_id": "write it as auth.client_id, and `credentials: body` to send it in the form",
    "client_secret": "write it as auth.client_secret, and `credentials: body` to send it in the form",
    "scope": "write it as auth.scope",
}
_MEND = "write ${env:NAME} or ${file:/path}, and put the secret there"


def references_of(draft: Draft) -> Iterator[tuple[KeyPath, str]]:
    """Every text in which references are resolved, with its place."""
    for id, service in draft.written.services.items():
        for place, text in _texts_of(service):
            yield ("services", id, *place), text
    for each in draft.texts:
        if not PLACES[each.place].is_expression:
            yield each.path, each.text


def well_spelt_in(text: str) -> list[str]:
    """The references of a text that are spelt as they should be."""
    return [match.group(0) for match in _WELL_SPELT.finditer(text)]


def spelling(draft: Draft) -> Iterator[Finding]:
    """References that can't be resolved anywhere."""
    for path, text in references_of(draft):
        for match in _REFERENCE.finditer(text):
            if _WELL_SPELT.fullmatch(match.group(0)) is not None:
                continue
            if match.group(1).startswith("{"):
                what = "has ${{ … }}, which is no reference to a secret; write {{ … }} for a value, ${env:NAME} for a secret"
            else:
                what = "has a ${…} that is no reference; write ${env:NAME} or ${file:/path}"
            yield error(Check.REFERENCE, path, what)
    for id, service in draft.written.services.items():
        if isinstance(service, HttpService) and isinstance(service.auth, ClientCredentialsAuth):
            if "${" in (service.auth.scope or ""):
                at: KeyPath = ("services", id, "auth", "scope")
                yield error(Check.REFERENCE, at, "has a reference, and none is resolved here; write the scope out")


def forms(draft: Draft) -> Iterator[Finding]:
    """Fields of a token request's form that are sent anyway."""
    for id, service in draft.written.services.items():
        if isinstance(service, HttpService) and isinstance(service.auth, ClientCredentialsAuth):
            for name in service.auth.form:
                if (said := _SENT_ANYWAY.get(name)) is not None:
                    yield error(
                        Check.TOKEN_FORM,
                        ("services", id, "auth", "form", name),
                        f"would replace what the token request says by itself; {said}",
                    )


def in_clear(draft: Draft) -> Iterator[Finding]:
    """Secrets that stand in the file: whoever reads the plan has them."""
    for id, service in draft.written.services.items():
        at: KeyPath = ("services", id)
        for place, text in _secrets_of(service):
            if "${" not in text:
                yield error(Check.SECRET_IN_CLEAR, (*at, *place), f"is a secret written out; {_MEND}")
        if isinstance(service, SqlService):
            password = _PASSWORD.match(service.database_url)
            if password is not None and password.group(1) and "${" not in password.group(1):
                path = (*at, "database_url")
                yield error(Check.SECRET_IN_CLEAR, path, f"has a password written out; {_MEND}")
        if isinstance(service, PythonService):
            yield from _named_like_secrets(service.settings, (*at, "settings"))
        if isinstance(service, HttpService):
            yield from _named_like_secrets(service.headers, (*at, "headers"))
            if isinstance(service.auth, ClientCredentialsAuth):
                yield from _named_like_secrets(service.auth.form, (*at, "auth", "form"))
            if isinstance(service.auth, BearerAuth) and service.auth.token.lower().startswith("bearer"):
                path = (*at, "auth", "token")
                yield error(Check.HEADER, path, "begins with Bearer, which is put before it anyway; leave it out")
    for asked in requests_of(draft.written):
        if isinstance(asked.request, HttpRequest):
            yield from _named_like_secrets(asked.request.headers, (*asked.path, "headers"))
            yield from _named_like_secrets(asked.request.query, (*asked.path, "query"))


def _named_like_secrets(texts: Mapping[str, str], at: KeyPath) -> Iterator[Finding]:
    for name, text in texts.items():
        if not text or "${" in text or "{{" in text:
            continue
        if _SECRET.fullmatch(name) is not None:
            yield error(Check.SECRET_IN_CLEAR, (*at, name), f"is a secret written out; {_MEND}")
        elif _PERHAPS_SECRET.search(name) is not None:
            yield warning(Check.SECRET_IN_CLEAR, (*at, name), f"looks like a secret written out; {_MEND}")


def _texts_of(service: Service) -> Iterator[tuple[KeyPath, str]]:
    """The texts of a service that may hold references, but for its headers, which are templates, too."""
    match service:
        case HttpService(base_url=base_url, auth=auth):
            yield ("base_url",), base_url
            for name in ("token", "username", "password", "key", "token_url", "client_id", "client_secret"):
                if isinstance(text := getattr(auth, name, None), str):
                    yield ("auth", name), text
            for name, text in getattr(auth, "form", {}).items():
                yield ("auth", "form", name), text
        case SqlService(database_url=database_url):
            yield ("database_url",), database_url
        case _:
            for name, text in service.settings.items():
                yield ("settings", name), text


def _secrets_of(service: Service) -> Iterator[tuple[KeyPath, str]]:
    match service:
        case HttpService(auth=BearerAuth(token=text)):
            yield ("auth", "token"), text
        case HttpService(auth=BasicAuth(password=text)):
            yield ("auth", "password"), text
        case HttpService(auth=ApiKeyAuth(key=text)):
            yield ("auth", "key"), text
        case HttpService(auth=ClientCredentialsAuth(client_secret=text)):
            yield ("auth", "client_secret"), text
