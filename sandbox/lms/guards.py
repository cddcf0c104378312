"""Tokens, and who may call what with which header."""

import base64
import hmac
import secrets
import time
from dataclasses import dataclass

from sandbox.lms.calls import Answer, Call, Guard, Refused, Route
from sandbox.lms.settings import Settings

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Token:
    """An access token that was issued. `username` is a learner's, None the service account's."""

    expires: float
    username: str | None = None


class Tokens:
    """The tokens that are good now. They end with the process, as all signed with a key that is made at its start."""

    def __init__(self) -> None:
        self._issued: dict[str, Token] = {}

    def issue(self, *, lifetime: float, username: str | None = None) -> str:
        """A new token, in the shape of a JWT."""
        value = f"eyJ{secrets.token_urlsafe(15)}.{secrets.token_urlsafe(30)}.{secrets.token_urlsafe(20)}"
        self._issued[value] = Token(expires=time.monotonic() + lifetime, username=username)
        return value

    def good(self, value: str) -> Token | None:
        """The token, unless it is unknown, revoked or expired."""
        token = self._issued.get(value)
        return token if token is not None and token.expires > time.monotonic() else None

    def forget(self, value: str) -> None:
        """Refuse this token from now on."""
        self._issued.pop(value, None)

    def revoke_all(self) -> None:
        """Refuse every token that was issued so far."""
        self._issued.clear()


def token_of(call: Call) -> str:
    """What stands behind the word `JWT` in the Authorization header; empty for any other scheme."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    return value if scheme == "JWT" else ""


def check(call: Call, *, route: Route, settings: Settings, tokens: Tokens) -> None:
    """Let the call through.

    Raises:
        Refused: 401 without good credentials, 415 for a wrong content type, 403 without permission, in this order.
    """
    match route.guard:
        case Guard.OPEN:
            return
        case Guard.JWT | Guard.LEARNER:
            _check_token(call, route=route, settings=settings, tokens=tokens)
        case Guard.AMPLITUDE:
            _same(call, f"Basic {_basic(settings.amplitude_key, settings.amplitude_secret)}")
        case Guard.SEGMENT:
            _same(call, f"Bearer {settings.segment_token}")
        case Guard.BRAZE:
            _same(call, f"Bearer {settings.braze_key}")
        case Guard.HUBSPOT:
            _same(call, f"Bearer {settings.hubspot_key}")
    # Open edX wants its content type on every call; vendors only where there is a body.
    always = route.guard is Guard.JWT
    wanted = _FORM if route.guard is Guard.LEARNER else _JSON
    if (always or call.body) and call.media_type != wanted:
        raise Refused(415, {"detail": f"Unsupported media type, {wanted} is expected."})
    if route.guard is Guard.JWT and not _permitted(route, settings=settings):
        raise Refused(403, {"detail": "You do not have permission to perform this action."})


def grant(call: Call, *, settings: Settings, tokens: Tokens) -> Answer:
    """The token endpoint: exactly four form fields, and no Authorization."""
    fields = dict(call.form)
    if "authorization" in call.headers or call.media_type != _FORM:
        return Answer(status=400, body={"error": "invalid_request"})
    if sorted(key for key, _ in call.form) != ["client_id", "client_secret", "grant_type", "token_type"]:
        return Answer(status=400, body={"error": "invalid_request"})
    if fields["grant_type"] != "client_credentials":
        return Answer(status=400, body={"error": "unsupported_grant_type"})
    if fields["token_type"] != "jwt":
        return Answer(status=400, body={"error": "invalid_request"})
    client = (fields["client_id"], fields["client_secret"])
    if not hmac.compare_digest(repr(client).encode(), repr((settings.client_id, settings.client_secret)).encode()):
        return Answer(status=401, body={"error": "invalid_client"})
    told = {"access_token": tokens.issue(lifetime=settings.token_lifetime), "token_type": "JWT"}
    lifetime = {"expires_in": int(settings.token_lifetime)} if settings.tells_expiry else {}
    return Answer(body={**told, **lifetime, "scope": "read write email profile"})


def _check_token(call: Call, *, route: Route, settings: Settings, tokens: Tokens) -> None:
    token = tokens.good(token_of(call))
    if token is None:
        raise Refused(401, {"detail": "Authentication credentials were not provided."})
    if (token.username is not None) != (route.guard is Guard.LEARNER):
        raise Refused(403, {"detail": "You do not have permission to perform this action."})


def _permitted(route: Route, *, settings: Settings) -> bool:
    if route.service != "lms":
        return True
    return settings.may_retire and (settings.may_cancel or route.name != "cancel")


def _same(call: Call, wanted: str) -> None:
    if not hmac.compare_digest(call.headers.get("authorization", "").encode(), wanted.encode()):
        raise Refused(401, {"error": "unauthorized"})


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
