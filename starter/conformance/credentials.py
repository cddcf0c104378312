"""The same service, called as somebody who has no credentials, or wrong ones."""

import re

from plans.services import ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth, HttpService, NoAuth

#: How a service may refuse whoever doesn't show who they are.
REFUSED = (401, 403)

_REFERENCE = re.compile(r"\$\{[^}]*\}")
_WRONG = "wrong-on-purpose"


def has_credentials(service: HttpService) -> bool:
    """Does a call show who it is, by its auth or by a secret in a header?"""
    return not isinstance(service.auth, NoAuth) or any(_REFERENCE.search(text) for text in service.headers.values())


def without_credentials(service: HttpService) -> HttpService:
    """As anybody would call it."""
    headers = {name: text for name, text in service.headers.items() if not _REFERENCE.search(text)}
    return service.model_copy(update={"auth": NoAuth(), "headers": headers})


def with_wrong_credentials(service: HttpService) -> HttpService:
    """As somebody would who has guessed."""
    headers = {name: _REFERENCE.sub(_WRONG, text) for name, text in service.headers.items()}
    auth: NoAuth | BasicAuth | ApiKeyAuth | BearerAuth
    match service.auth:
        case NoAuth():
            auth = service.auth
        case BasicAuth(username=username):
            auth = BasicAuth(username=username, password=_WRONG)
        case ApiKeyAuth(header=header):
            auth = ApiKeyAuth(header=header, key=_WRONG)
        case BearerAuth() | ClientCredentialsAuth():
            auth = BearerAuth(token=_WRONG)
    return service.model_copy(update={"auth": auth, "headers": headers})
