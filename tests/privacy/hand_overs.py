"""People of a team who own something: it is handed over, finds nobody, stays, gets stuck, or goes without a retirement."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox.client import Document
from sandbox.faults import FaultKind
from tests.privacy import faulty_worker
from tests.privacy.places import ADMIN, ASSET, HEIR, KEPT, TITLES
from tests.support.stage import LONGEST_WAIT
from tests.support.waiting import eventually
from worker.heartbeats import INTERVAL
from workflows import names

if TYPE_CHECKING:
    from tests.privacy.retirements import Handle, Play

HANDED_OVER = "u-owner"
#: Stays in the midst of it, so that a pending call with its progress is searched, and a ledger that holds all it can.
STUCK = "u-owner-stuck"
#: Gone long ago. Their admin's mail is taken at the second time only.
STANDS_ALONE = "u-late-owner"


def org_of(user_id: str) -> str:
    """Whom somebody works for: called after them, as a firm of one's own is."""
    return f"{KEPT.name}'s {user_id} flock"


def boss_of(user_id: str) -> str:
    """The id of the admin of their org, who takes over where nobody is named."""
    return f"{user_id}-boss"


def heir_of(user_id: str) -> str:
    """The id of a colleague whom a request may name."""
    return f"{user_id}-heir"


class HandOvers:
    """By the team's plan, with an org of their own for each owner."""

    def __init__(self, play: "Play") -> None:
        self._play = play
        self._grounds = play.grounds

    def add_team(self, user_id: str, *, documents: int = 2, locked_boss: bool = False, known: bool = True) -> None:
        """Somebody who owns something, an admin and a colleague; `known`: the owner still has an account."""
        org, services = org_of(user_id), self._grounds.sandbox
        if known:
            self._play.person(user_id, org=org, roles=("author",))
        boss = ADMIN.person(boss_of(user_id), org=org, roles=("admin",), locked=locked_boss)
        heir = HEIR.person(heir_of(user_id), org=org, roles=("author",))
        services.add_people([boss, heir], at=("accounts",))
        services.documents.add(
            Document(id=f"{ASSET}-{user_id}-{number}", title=title, owner=user_id, owner_name=KEPT.name)
            for number, title in enumerate(TITLES[:documents])
        )

    async def start(self, user_id: str, *, plan: str = "team", **fields: str) -> "Handle":
        """Start the retirement of somebody with a team."""
        return await self._play.start(user_id, known=False, plan=plan, **fields)

    async def handed_over(self) -> None:
        """To whom the request names, while documents and accounts say too much of everybody."""
        user, services = HANDED_OVER, self._grounds.sandbox
        await asyncio.to_thread(self.add_team, user)
        services.documents.misbehave(FaultKind.ECHO, status=503, user=user, method="PUT", times=2)
        services.accounts.misbehave(FaultKind.ECHO, status=500, user=heir_of(user), method="GET")
        await self._play.end(await self.start(user, successor=heir_of(user)))

    async def finds_nobody(self) -> None:
        """The only admin can't take over, and is told what there is."""
        await asyncio.to_thread(self.add_team, "u-owner-alone", locked_boss=True)
        await self._play.end(await self.start("u-owner-alone"))

    async def stays(self) -> None:
        user = "u-owner-rescinded"
        await asyncio.to_thread(self.add_team, user)
        handle = await self.start(user, cool_off="14d")
        await self._play.reaches(handle, names.Phase.COOL_OFF)
        await handle.execute_update(names.RESCIND, {"by": "support-7"})
        await self._play.end(handle)

    async def resumed(self) -> None:
        """Out of patience past the point of no return; then somebody else takes over."""
        user = "u-owner-impatient"
        await asyncio.to_thread(self.add_team, user, documents=1)
        # One document, so one call an attempt: it gives up after five.
        documents = self._grounds.sandbox.documents
        documents.misbehave(FaultKind.ECHO, status=503, user=user, method="PUT", times=5)
        handle = await self.start(user, plan="impatient_team")
        await self._play.end(handle)
        self._play.ended[f"{user} before"] = self._play.ended[user]
        case = (await self._play.status(handle)).retirement_id
        await self._grounds.retire("resume", str(case), "--successor", heir_of(user), "--by", "ops-3", "--wait")
        await self._play.end(self._grounds.client.get_workflow_handle(handle.id))

    async def stuck(self) -> None:
        """Nobody tells at first who the admins are; then nothing can be moved."""
        user, services = STUCK, self._grounds.sandbox
        await asyncio.to_thread(self.add_team, user)
        admins = f"/orgs/{quote(org_of(user), safe='')}/admins"
        services.accounts.misbehave(FaultKind.ECHO, status=500, path_prefix=admins)
        # Long enough for a heartbeat to tell how far it is.
        services.documents.misbehave(
            FaultKind.ECHO, status=503, user=user, method="PUT", times=None, seconds=INTERVAL + 0.5
        )
        handle = await self.start(user, successor=heir_of(user))

        async def tried() -> None:
            pending = (await handle.describe()).raw_description.pending_activities
            assert any(each.HasField("last_failure") and each.HasField("heartbeat_details") for each in pending)

        await eventually(tried, within=LONGEST_WAIT)

    async def stands_alone(self) -> None:
        """Of somebody who is gone, whom nobody but the command knows anything of."""
        user, services = STANDS_ALONE, self._grounds.sandbox
        await asyncio.to_thread(self.add_team, user, known=False)
        services.documents.misbehave(FaultKind.ECHO, status=503, user=user, method="GET")
        told = ("--plan", "team", "--subject", f"org={org_of(user)}", "--by", "support-7", "--json")
        await self._grounds.retire("transfer", "--from", user, "--to", heir_of(user), *told)
        id = names.transfer_workflow_id(user_id=user)
        await self._play.end(self._grounds.client.get_workflow_handle(id))

    async def all(self) -> None:
        """At once."""
        await asyncio.gather(
            self.handed_over(),
            self.finds_nobody(),
            self.stays(),
            self.resumed(),
            self.stuck(),
            self.stands_alone(),
        )

    async def start_with_mistakes(self) -> "Handle":
        """One that meets them as it chooses, as it moves, and as it writes to the admin."""
        user = faulty_worker.IN_HAND_OVER
        await asyncio.to_thread(self.add_team, user)
        return await self.start(user)


#: How each of them has to end.
ENDS = {
    HANDED_OVER: "COMPLETE",
    "u-owner-alone": "ABORTED no_successor",
    "u-owner-rescinded": "ABORTED rescinded",
    "u-owner-impatient before": "ERRORED documents",
    "u-owner-impatient": "COMPLETE",
    names.transfer_workflow_id(user_id=STANDS_ALONE): "COMPLETE",
    faulty_worker.IN_HAND_OVER: "COMPLETE",
}
