"""Stopped learners, resumed one by one: the row is read, put back where work goes on, and a run is begun."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starter.learners import begin, known
from starter.moves import Move
from starter.site import OpenSite

if TYPE_CHECKING:
    from temporalio.client import Client

    from ledger.ledger import Ledger
    from openedx.resuming import Where
    from openedx.row import Row
    from workflows.messages import Skip


@dataclass(frozen=True, kw_only=True)
class Resuming:
    """How an operator wants learners resumed."""

    it: OpenSite
    ledger: "Ledger"
    client: "Client"
    where: "Where"
    skips: "tuple[Skip, ...]" = ()
    #: Noted in the LMS: who, and why.
    note: str
    by: str | None = None
    dry_run: bool = False

    async def resume(self, username: str, *, place: int) -> Move:
        """Resume one learner, or tell why not. `place`: which of those asked for, as a username is never shown.

        Raises:
            LmsNotLetIn: the LMS refuses the service account.
        """
        from openedx.lms import LmsError
        from openedx.resuming import NotMoved, resumption_of
        from openedx.starts import user_id_of

        it, move = self.it, Move(learner=f"#{place}", result="resumed")
        try:
            row = await it.lms.status(username)
            if row is None or row.username != username:
                # Where the LMS's database doesn't tell letter case, it gives somebody else's row.
                raise NotMoved("no_row", "the LMS has no request of a learner of this name; letter case counts")
            move = replace(move, learner=user_id_of(it.site, row), was=row.state)
            standing = await known(row, site=it.site, ledger=self.ledger, client=self.client)
            target = resumption_of(row, known=standing, chain=it.chain, where=self.where)
            move = replace(move, target=target or row.state)
            if not self.dry_run:
                await self._go(row, target=target)
            return move
        except (NotMoved, LmsError) as error:
            return move.stopped_by(error)

    async def _go(self, row: "Row", *, target: str | None) -> None:
        from openedx.resuming import NotMoved, force
        from openedx.starts import start_of, user_id_of

        if target is not None:
            await force(self.it.lms, row, state=target, note=self.note, chain=self.it.chain)
        # If this is cut off here, the next sweep finds the row moved and goes on with it.
        case = await self.ledger.find(user_id=user_id_of(self.it.site, row), tenant=None)
        start = start_of(self.it.site, row, case=case, skip=self.skips, by=self.by)
        if await begin(row, start, ledger=self.ledger, client=self.client) is None:
            raise NotMoved("running", "a run of theirs was begun by somebody else just now", is_error=False)
