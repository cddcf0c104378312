"""What a scene is made of: a person, the commands given about them, and the evidence that it went as it should."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import WorkflowHandle

from sandbox.board import Board
from sandbox.client import Person
from sandbox.engine import Told
from sandbox.launch import HOLDERS
from sandbox.stage import Stage
from starter.exit_codes import ExitCode
from starter.output import reason_of
from starter.starting import ask_status, result_of
from workflows import names
from workflows.messages import Result
from workflows.names import Mail, Outcome, Phase, Reason

#: The services that erase what they keep of a person.
ERASERS = ("accounts", "forum", "newsletter")

_LOOK_EVERY = 0.4
_LOOKS_FOR_MAIL = 25


class NotAsItShould(Exception):
    """A retirement did something else than the demo promises."""


@dataclass(kw_only=True)
class Scene:
    """One person, and what happens to them."""

    person: Person
    stage: Stage
    board: Board
    phase: Phase | None = None
    outcome: str = "—"
    evidence: list[str] = field(default_factory=list)
    well: bool = False

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The newest run of this person's retirement."""
        return self.stage.client.get_workflow_handle(names.workflow_id(user_id=self.person.user_id))

    def tell(self, text: str) -> None:
        """Say what happens now."""
        self.board.tell(person=self.person.name, text=text)

    async def retire(self, command: str, *options: str, expect: ExitCode = ExitCode.OK) -> Told:
        """Give a `retire` command about this person.

        Raises:
            NotAsItShould: it ended with another code than expected.
        """
        arguments = (command, self.person.user_id, *options, "--by", "demo")
        self.board.command(person=self.person.name, text=f"$ retire {shlex.join(arguments)}")
        told = await self.stage.retire(*arguments)
        if told.code != expect:
            said = (told.errors or told.output).strip().splitlines()
            raise NotAsItShould(f"`retire {command}` ended with {told.code}: {said[-1] if said else 'without a word'}")
        return told

    async def until(self, *phases: Phase) -> None:
        """Wait for a phase, and show each one on the way."""
        while True:
            status = await ask_status(self.handle)
            if status is not None and status.phase is not self.phase:
                self.phase = status.phase
                self.tell(status.phase.value.replace("_", "-"))
            if self.phase in phases:
                return
            await asyncio.sleep(_LOOK_EVERY)

    async def ends(self, outcome: Outcome, reason: Reason | None = None, *, code: str | None = None) -> Result:
        """Wait for the end of the newest run.

        Raises:
            NotAsItShould: it ended otherwise.
        """
        shown = asyncio.create_task(self.until(Phase.CLOSED))
        try:
            result = await result_of(self.handle)
        finally:
            shown.cancel()
        why = reason_of(result.model_dump())
        told = f"{result.outcome} ({why})" if why else str(result.outcome)
        self.outcome = told if self.outcome == "—" else f"{self.outcome}, then {told}"
        failed = "".join(f", {step.step}: {step.code}" for step in result.steps if step.step in result.failed)
        self.tell(f"{told}{failed}")
        if (result.outcome, result.reason, result.code) != (outcome, reason, code):
            raise NotAsItShould(f"ended {told}{failed}")
        return result

    def see(self, fact: bool, evidence: str) -> None:
        """Note a piece of evidence.

        Raises:
            NotAsItShould: it is not so.
        """
        if not fact:
            raise NotAsItShould(f"not so: {evidence}")
        self.evidence.append(evidence)

    def see_gone(self) -> None:
        """The person is gone everywhere, but for what the law keeps."""
        sandbox, person = self.stage.sandbox, self.person
        invoices = sandbox.invoices.kept(person) or {}
        left = [name for name in ERASERS if sandbox.services[name].kept(person) is not None]
        self.see(not left and not sandbox.accounts.can_log_in(person), f"nothing left at {', '.join(ERASERS)}")
        self.see(invoices.get("invoices") == person.invoices, f"{person.invoices} invoices kept, as the law asks")

    def see_untouched(self) -> None:
        """Nothing was ever done to the person, anywhere."""
        touched = [name for name in HOLDERS if self.stage.sandbox.services[name].effects_on(self.person)]
        self.see(not touched, "nothing locked, moved or erased anywhere")
        self.see(self.stage.sandbox.accounts.can_log_in(self.person), "login works")

    async def see_mails(self, *kinds: Mail) -> None:
        """The person's mails have come, as many as that."""
        mails = await self._mails_of(self.person, count=len(kinds))
        plural = "" if len(kinds) == 1 else "s"
        self.see(len(mails) == len(kinds), f"{len(kinds)} mail{plural}: {', '.join(kinds)}")

    async def see_told(self, person: Person, *titles: str, mails: int = 1, of: str) -> None:
        """Somebody else has so many mails by now, and the last of them names all these."""
        found = await self._mails_of(person, count=mails)
        named = len(found) == mails and all(title in found[-1]["text"] for title in titles)
        self.see(named, f"{person.name}, {' and '.join(person.roles)} of {person.org}, is told by mail {of}")

    async def _mails_of(self, person: Person, *, count: int) -> list[dict[str, Any]]:
        # The last one may still be on its way when the retirement is complete.
        for _ in range(_LOOKS_FOR_MAIL):
            if len(self.stage.sandbox.mailbox.mails(person)) >= count:
                break
            await asyncio.sleep(_LOOK_EVERY)
        return self.stage.sandbox.mailbox.mails(person)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something the demo shows: with whom, and how it is played. `others` are there from the beginning, too."""

    person: Person
    shows: str
    play: Callable[[Scene], Awaitable[None]]
    others: tuple[Person, ...] = ()
