"""What can go wrong at the LMS, told by route and status: no value of a learner is in any of these."""


class LmsError(Exception):
    """The LMS was asked and did not do it. `route` is the method and the path template."""

    def __init__(self, text: str, *, route: str) -> None:
        super().__init__(text)
        self.route = route


class LmsRefused(LmsError):
    """An answer that will be the same every time. `status` is None where the request could not be sent at all."""

    def __init__(self, *, status: int | None, route: str) -> None:
        super().__init__(_told(status, route=route), route=route)
        self.status = status


class LmsNotLetIn(LmsRefused):
    """The LMS or its token endpoint refuses the service account: a matter of the site's settings, of no learner."""

    def __init__(self, *, status: int | None, route: str, code: str) -> None:
        super().__init__(status=status, route=route)
        self.code = code
        self.args = (
            f"The LMS does not let the service account in ({code}, {route}). See that client id and secret are right, and "
            "that the account is superuser, the site's RETIREMENT_SERVICE_WORKER_USERNAME or holds "
            "accounts.can_retire_user.",
        )


class LmsMoved(LmsRefused):
    """Somebody else moved the learner meanwhile; nothing more was sent."""

    def __init__(self, *, route: str) -> None:
        super().__init__(status=409, route=route)
        self.args = (
            f"The learner was moved by somebody else while {route} was under way; nothing more was sent. "
            "See `retire openedx status`, then decide again.",
        )


class LmsUnreachable(LmsError):
    """No usable answer after a few tries. `outcome_unknown`: it may have been done all the same."""

    def __init__(self, *, route: str, code: str, outcome_unknown: bool) -> None:
        done = " It may have been done all the same." if outcome_unknown and not route.startswith("GET") else ""
        super().__init__(
            f"The LMS gave no usable answer to {route} ({code}).{done} See that it runs and is reachable from here, "
            "then run this again.",
            route=route,
        )
        self.code = code
        self.outcome_unknown = outcome_unknown


def _told(status: int | None, *, route: str) -> str:
    match status:
        case None:
            do = "The address is none that can be asked: see base_url of the plan's service `lms`."
        case 404:
            do = "There is no such route or no such learner: see base_url of the plan's service `lms` and the LMS version."
        case 400:
            do = "It does not know a state, or the row is not where this needs it: compare with `retire openedx check`."
        case status if 300 <= status < 400:
            do = "It redirects, and redirects are never followed: write the final address into base_url of the plan's `lms`."
        case _:
            do = "See the LMS's own log for why."
    return f"The LMS refused {route} ({f'HTTP {status}' if status is not None else 'not sent'}). {do}"
