"""What a 403 means: at first contact it is about our credentials, later about this very request."""

from activities.actions.answers import Held, Permanent
from activities.attempts import Trouble
from ledger.ledger import Ledger
from plans.services import HttpService, Service
from workflows.names import StepResult

#: Outcomes that only come about where a service has let us do something.
_SUCCEEDED = frozenset(
    {
        StepResult.ERASED,
        StepResult.ABSENT,
        StepResult.DONE,
        StepResult.SCRUBBED,
        StepResult.UNVERIFIED,
        StepResult.TRANSFERRED,
    }
)


class Worked:
    """The services of which this worker has seen a step succeed: a 403 of theirs is not about credentials."""

    def __init__(self) -> None:
        self._services: set[tuple[str, str]] = set()

    def add(self, service: Service) -> None:
        """A step of this service has succeeded."""
        if isinstance(service, HttpService):
            self._services.add((service.base_url, service.auth.type))

    def has(self, service: Service) -> bool:
        """Has one?"""
        return isinstance(service, HttpService) and (service.base_url, service.auth.type) in self._services


async def settled(ledger: Ledger, *, trouble: Trouble, retirement_id: str, service: str) -> Trouble:
    """What a 403 at first contact with this worker means in the light of the ledger."""
    if not isinstance(trouble, Held) or not trouble.first_contact:
        return trouble
    rows = await ledger.steps(retirement_id)
    if any(row.service == service and row.result in _SUCCEEDED for row in rows):
        return Permanent(code=trouble.code)
    return trouble
