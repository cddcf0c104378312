"""What the learner's own account page calls: the request to be retired, with the password typed again."""

from collections.abc import Callable, Iterable

from sandbox.lms.calls import Answer, Call, Guard, Refused, Route
from sandbox.lms.guards import Tokens, token_of
from sandbox.lms.settings import Settings
from sandbox.lms.statuses import ask_for_retirement
from sandbox.lms.store import Store

_PATH = "/api/user/v1/accounts/deactivate_logout/"


def routes(*, store: Store, settings: Settings, tokens: Tokens) -> Iterable[Route]:
    """The one call."""
    yield Route(
        name="deactivate_logout",
        service="lms",
        method="POST",
        path=_PATH,
        endpoint=_endpoint(store=store, settings=settings, tokens=tokens),
        guard=Guard.LEARNER,
    )


def _endpoint(*, store: Store, settings: Settings, tokens: Tokens) -> Callable[[Call], Answer]:
    def endpoint(call: Call) -> Answer:
        if [key for key, _ in call.form] != ["password"]:
            raise Refused(400, "a form with a password is expected")
        token = tokens.good(token_of(call))
        user = store.user_named(token.username) if token is not None and token.username is not None else None
        if not settings.account_deletion or user is None or user["password"] != dict(call.form)["password"]:
            return Answer(status=403)
        ask_for_retirement(user, store=store)
        tokens.forget(token_of(call))
        return Answer(status=204)

    return endpoint
