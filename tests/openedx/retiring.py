"""Retiring learners of the stand-in with all there is: a Temporal server, a worker, a ledger, the imported plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.lms.client import SeenRequest, StandInLms
from tests.openedx.pipelines import FOUR, SITE, Change, DriverRow, driver_document, write_plan
from tests.support.stage import Retirement, Stage

#: Long enough ago for any cool-off.
LONG_AGO = timedelta(days=40)


@dataclass(frozen=True, kw_only=True)
class Campus:
    """A stage and the stand-in LMS, and how a learner's retirement is begun."""

    stage: Stage
    lms: StandInLms

    def plan(
        self,
        name: str,
        rows: Sequence[DriverRow] = FOUR,
        *,
        change: Change | None = None,
        cool_off_days: int = 7,
        base_url: str | None = None,
        **more: Any,
    ) -> str:
        """Import a pipeline; its name is the plan's."""
        document = driver_document(base_url or self.lms.url, rows, **more)
        folder = self.stage.settings.plans_dir
        return write_plan(folder, name, document=document, cool_off_days=cool_off_days, change=change)

    def learner(self, username: str, *, ago: timedelta = LONG_AGO, **details: Any) -> dict[str, Any]:
        """A learner whose request was made so long ago."""
        return self.lms.add_learner(username, created=datetime.now(UTC) - ago, **details)

    async def start(self, row: dict[str, Any], *, running_clock: bool = False, **fields: Any) -> Retirement:
        """Take a learner in, and start their retirement, as the collector does."""
        user_id = f"{SITE}-{row['id']}"
        values = {"username": row["original_username"], "row_id": row["id"]}
        await self.stage.ledger.take_in(user_id=user_id, tenant=None, values=values, now=datetime.now(UTC))
        fields = {"requested_at": row["created"], **fields}
        return await self.stage.start(user_id, running_clock=running_clock, **fields)

    def asked(self, username: str) -> list[SeenRequest]:
        """Every request about a learner, in order; but those with a token of an earlier test, which are repeated with another."""
        return [request for request in self.lms.requests(username) if request.status != 401]

    def calls(self, username: str) -> list[str]:
        """The same as routes; an update as the state that it sets."""
        return [request.new_state or str(request.route) for request in self.asked(username)]
