"""How a call shows who it is: not at all, by something fixed, or by a renewable token that all calls of a worker share."""

import asyncio
import base64
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx

from activities.actions.answers import Answer, NoAnswer, retry_after
from activities.actions.wire import Wire
from plans.secrets import resolve
from plans.services import ApiKeyAuth, Auth, BasicAuth, BearerAuth, ClientCredentialsAuth, NoAuth
from workflows.names import HeldCause

_LONGEST_MARGIN = 60.0
_SHARE_OF_LIFETIME = 0.2
_TOKEN_TIMEOUT = 10.0


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Which token is asked for: services that want the same share it, whichever plan they are of."""

    token_url: str = field(repr=False)
    client_id: str = field(repr=False)
    scope: str | None
    #: More fields of the request's form, in their order.
    form: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, auth: ClientCredentialsAuth) -> "_Wanted":
        """What a service's auth asks for.

        Raises:
            SecretMissing: a secret of the plan is not on this worker.
        """
        return cls(
            token_url=resolve(auth.token_url),
            client_id=resolve(auth.client_id),
            scope=auth.scope,
            form=tuple((name, resolve(text)) for name, text in auth.form.items()),
        )


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    #: On the monotonic clock; never, where the endpoint didn't say how long it is good: then a 401 tells.
    renew_at: float

    def headers(self, scheme: str) -> Mapping[str, str]:
        """How it is sent."""
        return {"Authorization": f"{scheme} {self.value}"}


class Credentials:
    """The tokens of a worker, in memory only: one for all services that want the same."""

    def __init__(self, *, wire: Wire) -> None:
        self._wire = wire
        self._tokens: dict[_Wanted, _Token] = {}
        self._fetching: dict[_Wanted, asyncio.Task[_Token | NoAnswer]] = {}

    async def headers(self, auth: Auth, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str] | NoAnswer:
        """The headers that show who we are, or why they can't be had. Ask before taking a slot: a token may be fetched.

        `refused` are headers that the service has just answered with 401: a renewable token isn't handed out again.

        Raises:
            SecretMissing: a secret of the plan is not on this worker.
        """
        match auth:
            case NoAuth():
                return {}
            case BearerAuth():
                return _sendable({"Authorization": f"Bearer {resolve(auth.token)}"}, otherwise="bad_token")
            case ApiKeyAuth():
                return _sendable({auth.header: resolve(auth.key)}, otherwise="bad_api_key")
            case BasicAuth():
                return _basic(username=resolve(auth.username), password=resolve(auth.password))
            case ClientCredentialsAuth():
                return await self._with_token(auth, refused=refused)

    async def _with_token(
        self, auth: ClientCredentialsAuth, *, refused: Mapping[str, str] | None
    ) -> Mapping[str, str] | NoAnswer:
        wanted = _Wanted.of(auth)
        token = self._tokens.get(wanted)
        if token is None or time.monotonic() >= token.renew_at or token.headers(auth.scheme) == refused:
            fetched = await self._renewed(
                wanted, secret=resolve(auth.client_secret), in_body=auth.credentials == "body"
            )
            if isinstance(fetched, NoAnswer):
                return fetched
            token = fetched
        return token.headers(auth.scheme)

    async def _renewed(self, wanted: _Wanted, *, secret: str, in_body: bool) -> _Token | NoAnswer:
        """Fetch a token; whoever asks meanwhile waits for the same answer. One at a time, so it needs no slot."""
        fetching = self._fetching.get(wanted)
        if fetching is None:
            fetching = asyncio.create_task(self._fetch(wanted, secret=secret, in_body=in_body))
            self._fetching[wanted] = fetching
            fetching.add_done_callback(lambda _: self._fetching.pop(wanted, None))
        # One caller's cancellation must not take the token from the others.
        return await asyncio.shield(fetching)

    async def _fetch(self, wanted: _Wanted, *, secret: str, in_body: bool) -> _Token | NoAnswer:
        if not _encodable(wanted.client_id, secret, *(text for _, text in wanted.form)):
            return NoAnswer(code="bad_client_credentials", touched=False, held=HeldCause.CREDENTIALS)
        form = {"grant_type": "client_credentials"}
        basic = None
        if in_body:
            form |= {"client_id": wanted.client_id, "client_secret": secret}
        else:
            # RFC 6749 §2.3.1: both parts form-encoded before they are joined.
            basic = httpx.BasicAuth(quote_plus(wanted.client_id), quote_plus(secret))
        form |= ({"scope": wanted.scope} if wanted.scope else {}) | dict(wanted.form)
        asked_at = time.monotonic()
        answer = await self._wire.send(
            method="POST", url=wanted.token_url, timeout=_TOKEN_TIMEOUT, headers={}, form=form, basic=basic
        )
        if isinstance(answer, NoAnswer):
            # Whatever happened at the token endpoint, nothing was done to the person.
            held = None if answer.may_pass else HeldCause.CONFIGURATION
            return NoAnswer(code=f"token_{answer.code}", touched=False, held=held)
        token = _read_token(answer, asked_at=asked_at)
        if isinstance(token, _Token):
            self._tokens[wanted] = token
        else:
            self._tokens.pop(wanted, None)
        return token


def _basic(*, username: str, password: str) -> Mapping[str, str] | NoAnswer:
    """User name and password as RFC 7617 has them, in UTF-8. The first colon ends the name, so it can't hold one."""
    joined = f"{username}:{password}"
    if ":" in username or any(ord(character) < 0x20 or ord(character) == 0x7F for character in joined):
        return NoAnswer(code="bad_basic_auth", touched=False, held=HeldCause.CREDENTIALS)
    # A variable may hold bytes that are no text; they go out as they came in.
    encoded = base64.b64encode(joined.encode("utf-8", "surrogateescape")).decode()
    return {"Authorization": f"Basic {encoded}"}


def _sendable(headers: Mapping[str, str], *, otherwise: str) -> Mapping[str, str] | NoAnswer:
    """The headers, unless a value is empty or holds what no header may: a line break at a secret's end, for example."""
    if all(value.isascii() and value.isprintable() and value.strip() == value != "" for value in headers.values()):
        return headers
    return NoAnswer(code=otherwise, touched=False, held=HeldCause.CREDENTIALS)


def _encodable(*texts: str) -> bool:
    """Can they be sent as a form? A variable may hold bytes that are no text."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_token(answer: Answer, *, asked_at: float) -> _Token | NoAnswer:
    code = f"token_http_{answer.status}"
    match answer.status:
        case 400 | 401 | 403:
            return NoAnswer(code=code, touched=False, held=HeldCause.CREDENTIALS)
        case 408 | 425 | 429:
            return NoAnswer(code=code, touched=False, wait=retry_after(answer))
        case status if status >= 500:
            return NoAnswer(code=code, touched=False, wait=retry_after(answer))
        case status if not 200 <= status < 300:
            return NoAnswer(code=code, touched=False, held=HeldCause.CONFIGURATION)
    body: dict[str, Any] = answer.body if isinstance(answer.body, dict) else {}
    value = body.get("access_token")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        return NoAnswer(code="token_unusable", touched=False)
    return _Token(value, renew_at=asked_at + _usable_for(body.get("expires_in")))


def _usable_for(expires_in: object) -> float:
    """How many seconds a token is handed out. For ever where its lifetime isn't said (RFC 6749 only recommends it)."""
    try:
        lifetime = float(expires_in) if isinstance(expires_in, int | float | str) else 0.0
    except (ValueError, OverflowError):
        lifetime = 0.0
    if not lifetime > 0:
        return math.inf
    return lifetime - min(_LONGEST_MARGIN, lifetime * _SHARE_OF_LIFETIME)
