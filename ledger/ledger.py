"""The ledger as its users see it: what it is told. Each call is one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, null

from ledger import assets, cases, correspondence, jobs, starts, steps, successions, transfers, work
from ledger.jobs import Job, JobKind
from ledger.records import Records
from ledger.rows import (
    Asset,
    Case,
    CaseOpening,
    CaseState,
    NewWork,
    People,
    StepAction,
    StepRow,
    StoredPlan,
)
from ledger.transfers import TransferOpening, TransferWish
from workflows.messages import MessageRow, Moved, Start, StepOutcome
from workflows.names import AssetResult, Direction, Outcome, Reason, WorkState


class Ledger(Records):
    """Cases, steps, correspondence and vault. It never asks a clock: whoever writes says when."""

    async def open_case(
        self,
        *,
        start: Start,
        workflow_id: str,
        run_key: str,
        now: datetime,
        plan: StoredPlan,
        hosts: Mapping[str, str],
        cool_off_ends_at: datetime,
        due_at: datetime,
        holders: tuple[str, ...],
    ) -> CaseOpening:
        """Open a case, go on with one, resume one, or refuse and touch nothing. The run always holds the vault."""
        request = starts.Request(
            start=start,
            subject_key=self._keys.subject_key(user_id=start.user_id, tenant=start.tenant),
            workflow_id=workflow_id,
            run_key=run_key,
            now=now,
            plan=plan,
            hosts=hosts,
            cool_off_ends_at=cool_off_ends_at,
            due_at=due_at,
            holders=holders,
        )
        return await self._database.write(lambda connection: starts.open_case(connection, self._vault, request=request))

    async def take_in(self, *, user_id: str, tenant: str | None, values: Mapping[str, Any], now: datetime) -> None:
        """Keep, sealed, what is known of a person who is about to be retired: the case takes it over when it opens.

        Nothing is kept where a case is open already: it has its own.
        """
        subject_key = self._keys.subject_key(user_id=user_id, tenant=tenant)

        def write(connection: Connection) -> None:
            known = cases.cases_of_subject(connection, subject_key=subject_key)
            if all(case.state is CaseState.CLOSED for case in known):
                self._vault.take_in(connection, subject_key=subject_key, values=values, now=now)

        await self._database.write(write)

    async def move(
        self,
        *,
        retirement_id: str,
        from_state: str,
        to_state: str,
        now: datetime,
        messages: Sequence[MessageRow] = (),
        reason: Reason | None = None,
        code: str | None = None,
    ) -> Moved:
        """Move a case by compare-and-set. Already there counts as moved; a refused move leaves all as it was."""
        return await self._database.write(
            lambda connection: cases.move_case(
                connection,
                retirement_id=retirement_id,
                from_state=from_state,
                to_state=to_state,
                now=now,
                messages=messages,
                reason=reason,
                code=code,
            )
        )

    async def close_case(
        self,
        *,
        retirement_id: str,
        outcome: Outcome,
        reason: Reason | None,
        direction: Direction | None,
        now: datetime,
        messages: Sequence[MessageRow],
        no_longer_held_by: Sequence[str] = (),
    ) -> Case:
        """Record how a run ended; see `cases.close_case`. A case that is closed stays as it is."""
        return await self._database.write(
            lambda connection: cases.close_case(
                connection,
                self._vault,
                retirement_id=retirement_id,
                outcome=outcome,
                reason=reason,
                direction=direction,
                now=now,
                messages=messages,
                no_longer_held_by=no_longer_held_by,
            )
        )

    # Steps.

    async def record_outcome(
        self,
        *,
        retirement_id: str,
        step: str,
        action: str,
        outcome: StepOutcome,
        service: str | None,
        saved: Mapping[str, Any] | None,
        opens: NewWork | None = None,
    ) -> None:
        """Record how a step ended, with what it saved for later ones, and the work that begins with its end.

        Raises:
            VaultMissing: it saved something and the vault entry is gone; nothing is recorded then.
        """
        if outcome.step != step:
            raise ValueError("the outcome is of another step")

        def write(connection: Connection) -> None:
            if saved:
                self._vault.keep_saved(connection, retirement_id=retirement_id, step=step, values=saved)
            steps.record(connection, retirement_id=retirement_id, action=action, outcomes=(outcome,), service=service)
            if opens is not None:
                at = outcome.at
                if at is None:
                    raise ValueError("work begins when its step ended: the outcome needs its date")
                work.begin(connection, self._vault, retirement_id=retirement_id, step=step, new=opens, at=at)

        await self._database.write(write)

    async def record_outcomes(
        self, retirement_id: str, outcomes: Sequence[StepOutcome], *, action: StepAction = StepAction.DO
    ) -> None:
        """Record the final outcomes of several steps, or of their undos. For none, nothing is begun."""
        if outcomes:
            await self._database.write(
                lambda connection: steps.record(
                    connection, retirement_id=retirement_id, action=action, outcomes=outcomes
                )
            )

    async def record_attempt(
        self,
        *,
        retirement_id: str,
        step: str,
        action: str,
        at: datetime,
        code: str,
        attempt: int,
        touched: bool,
        lied: bool = False,
        timed_out: bool = False,
        service: str | None,
    ) -> StepRow:
        """Record a failed attempt, the `attempt`-th of this activity; gives the row with the count of failures."""
        return await self._database.write(
            lambda connection: steps.record_attempt(
                connection,
                retirement_id=retirement_id,
                step=step,
                action=action,
                at=at,
                code=code,
                attempt=attempt,
                touched=touched,
                lied=lied,
                timed_out=timed_out,
                service=service,
            )
        )

    async def store_subject(
        self,
        *,
        retirement_id: str,
        values: Mapping[str, Any],
        present: tuple[str, ...] | None,
        claims: Mapping[str, int] | None = None,
        people: People | None = None,
    ) -> None:
        """Keep what the lookup found in the vault, and on the case whom the probes saw and what it will claim.

        `present` is None where no probe was asked, since the retirement ends here: a later look asks them all.
        Past the point the case stays as it is: a look that comes to its end too late mustn't make it forget what it holds.

        Raises:
            VaultMissing: the vault entry is gone.
        """

        def write(connection: Connection) -> None:
            case = cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            self._vault.keep_subject(connection, retirement_id=retirement_id, values=values)
            if people:
                self._vault.keep_people(connection, retirement_id=retirement_id, people=people)
            if case.state is CaseState.OPEN:
                changes = {"present": null() if present is None else list(present), "claims": _or_null(claims)}
                cases.change_case(connection, retirement_id=retirement_id, changes=changes)

        await self._database.write(write)

    async def store_claims(self, *, retirement_id: str, claims: Mapping[str, int]) -> None:
        """Keep what the case will claim, as it stands after a new look at the facts. Past the point it stays as it is."""

        def write(connection: Connection) -> None:
            case = cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            if case.state is CaseState.OPEN:
                cases.change_case(connection, retirement_id=retirement_id, changes={"claims": _or_null(claims)})

        await self._database.write(write)

    async def add_hosts(self, *, retirement_id: str, hosts: Mapping[str, str]) -> Case:
        """Add the addresses of services that whoever opened the case could not tell. One that is known stays as it is."""

        def write(connection: Connection) -> Case:
            case = cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            changes = {"hosts": {**hosts, **case.hosts}}
            cases.change_case(connection, retirement_id=retirement_id, changes=changes)
            return cases.existing_case(connection, retirement_id=retirement_id)

        return await self._database.write(write)

    async def add_present(self, *, retirement_id: str, present: tuple[str, ...]) -> None:
        """Add steps whose probe saw the person, asked apart from the others."""

        def write(connection: Connection) -> None:
            case = cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            seen = dict.fromkeys((*(case.present or ()), *present))
            cases.change_case(connection, retirement_id=retirement_id, changes={"present": list(seen)})

        await self._database.write(write)

    async def save_values(self, *, retirement_id: str, step: str, saved: Mapping[str, Any]) -> None:
        """Keep what a step must remember while it is still at work: where to ask an asynchronous vendor.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        await self._database.write(
            lambda connection: self._vault.keep_saved(connection, retirement_id=retirement_id, step=step, values=saved)
        )

    # Work that outlives its retirement, or that a person does.

    async def note_look(self, *, retirement_id: str, step: str, next_look_at: datetime, code: str | None) -> None:
        """A vendor was asked, and has not finished. Work that has ended meanwhile stays as it is."""
        await self._database.write(
            lambda connection: work.note_look(
                connection, retirement_id=retirement_id, step=step, next_look_at=next_look_at, code=code
            )
        )

    async def end_work(
        self,
        *,
        retirement_id: str,
        step: str,
        state: WorkState,
        at: datetime,
        by: str | None = None,
        code: str | None = None,
    ) -> bool:
        """Work has ended, and lets go of the vault. False, and nothing is changed, where it is not open."""
        return await self._database.write(
            lambda connection: work.end(
                connection,
                self._vault,
                retirement_id=retirement_id,
                step=step,
                state=state,
                at=at,
                by=by,
                code=code,
            )
        )

    # What the person owns, and who takes it over.

    async def begin_inventory(self, *, retirement_id: str, step: str) -> int:
        """The number of a new inventory of a step's assets."""
        return await self._database.read(
            lambda connection: assets.next_inventory(connection, retirement_id=retirement_id, step=step)
        )

    async def note_assets(
        self,
        *,
        retirement_id: str,
        step: str,
        inventory: int,
        listed: Sequence[Asset],
        only_known: bool = False,
    ) -> None:
        """Note what a page of an inventory lists; for none, nothing is begun. `only_known`: the others stay out.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        if listed:
            await self._database.write(
                lambda connection: assets.note(
                    connection,
                    self._vault,
                    keys=self._keys,
                    retirement_id=retirement_id,
                    step=step,
                    inventory=inventory,
                    assets=listed,
                    only_known=only_known,
                )
            )

    async def end_inventory(self, *, retirement_id: str, step: str, inventory: int, keep_unlisted: bool = False) -> int:
        """Draw an inventory's conclusions; gives the number of assets that are listed although they were moved."""
        return await self._database.write(
            lambda connection: assets.end_inventory(
                connection,
                retirement_id=retirement_id,
                step=step,
                inventory=inventory,
                keep_unlisted=keep_unlisted,
            )
        )

    async def record_assets(
        self, *, retirement_id: str, step: str, results: Mapping[str, tuple[AssetResult, str | None]]
    ) -> None:
        """Record what became of assets, by their keys."""
        await self._database.write(
            lambda connection: assets.record(connection, retirement_id=retirement_id, step=step, results=results)
        )

    async def choose_successors(
        self, *, retirement_id: str, tenant: str | None, chosen: Mapping[str, Mapping[str, Any]], at: datetime
    ) -> None:
        """Keep who takes over, by policy, with their `id`: in the vault, and where others' retirements look for them.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        keys = {
            policy: self._keys.subject_key(user_id=str(values["id"]), tenant=tenant)
            for policy, values in chosen.items()
        }

        def write(connection: Connection) -> None:
            cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            self._vault.keep_successors(connection, retirement_id=retirement_id, values=chosen)
            successions.choose(connection, retirement_id=retirement_id, chosen=keys, at=at)

        await self._database.write(write)

    async def end_successions(self, *, retirement_id: str) -> None:
        """Everything is handed over: whoever took over may go, too."""
        await self._database.write(lambda connection: successions.end(connection, retirement_id=retirement_id))

    async def keep_people(self, *, retirement_id: str, people: People) -> None:
        """Keep who else is concerned, beside who is known already.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        await self._database.write(
            lambda connection: self._vault.keep_people(connection, retirement_id=retirement_id, people=people)
        )

    # Transfers that stand alone.

    async def open_transfer(
        self, *, wish: TransferWish, workflow_id: str, holders: tuple[str, ...], now: datetime
    ) -> TransferOpening:
        """Open the case of a transfer, or find the one that the same wish has opened, or refuse and write nothing."""
        return await self._database.write(
            lambda connection: transfers.open_transfer(
                connection,
                self._vault,
                keys=self._keys,
                wish=wish,
                workflow_id=workflow_id,
                holders=holders,
                now=now,
            )
        )

    async def take_up_transfer(
        self, *, start: Start, workflow_id: str, run_key: str, hosts: Mapping[str, str], now: datetime
    ) -> CaseOpening:
        """Give a run the transfer that its start names, or refuse and touch nothing."""
        subject_key = self._keys.subject_key(user_id=start.user_id, tenant=start.tenant)
        return await self._database.write(
            lambda connection: transfers.take_up(
                connection,
                self._vault,
                start=start,
                subject_key=subject_key,
                workflow_id=workflow_id,
                run_key=run_key,
                hosts=hosts,
                now=now,
            )
        )

    async def let_go(self, *, retirement_id: str, holder: str, now: datetime) -> None:
        """A holder of the vault's entry has no need of it any more."""
        await self._database.write(
            lambda connection: self._vault.release(connection, retirement_id=retirement_id, holder=holder, now=now)
        )

    # Correspondence, and the vault's other holders.

    async def record_messages(
        self, *, retirement_id: str, messages: Sequence[MessageRow], cool_off_ends_at: datetime | None = None
    ) -> None:
        """Append messages, and the date they moved."""

        def write(connection: Connection) -> None:
            cases.existing_case(connection, retirement_id=retirement_id, lock=True)
            correspondence.append_messages(connection, retirement_id=retirement_id, messages=messages)
            if cool_off_ends_at is not None:
                changes = {"cool_off_ends_at": cool_off_ends_at}
                cases.change_case(connection, retirement_id=retirement_id, changes=changes)

        await self._database.write(write)

    async def record_mail(
        self,
        *,
        retirement_id: str,
        mail: str,
        number: str,
        result: str,
        code: str | None,
        at: datetime,
        release: str | None,
    ) -> None:
        """Append how a mail fared; the holder that `release` names lets go of the vault."""

        def write(connection: Connection) -> None:
            correspondence.append_mail(
                connection, retirement_id=retirement_id, mail=mail, number=number, result=result, code=code, at=at
            )
            if release is not None:
                self._vault.release(connection, retirement_id=retirement_id, holder=release, now=at)

        await self._database.write(write)

    # Operators' work.

    async def open_jobs(
        self, *, site: str, kind: JobKind, values: Mapping[str, Mapping[str, Any]], now: datetime
    ) -> list[Job]:
        """Open jobs by their keys, with what each must remember: all of them, or none.

        Raises:
            LedgerConflict: one of these keys has an open job already: somebody else is at the same work.
        """
        return await self._database.write(
            lambda connection: jobs.open_jobs(connection, keys=self._keys, site=site, kind=kind, values=values, now=now)
        )

    async def open_job(self, *, site: str, kind: JobKind, key: str, values: Mapping[str, Any], now: datetime) -> Job:
        """Open one job; see `open_jobs`."""
        [job] = await self.open_jobs(site=site, kind=kind, values={key: values}, now=now)
        return job

    async def keep_job(self, *, id: str, values: Mapping[str, Any]) -> None:
        """Keep what a job knows now, in place of what was kept before.

        Raises:
            LedgerConflict: it is finished already, by somebody else.
        """
        await self._database.write(lambda connection: jobs.keep(connection, keys=self._keys, id=id, values=values))

    async def end_job(self, *, id: str, now: datetime) -> None:
        """A job is finished: what it knew is shredded. `checkpoint` sees to what lingers of it in a log."""
        await self._database.write(lambda connection: jobs.end(connection, id=id, now=now))

    async def drop_job(self, *, id: str) -> None:
        """A job came to nothing, as if it had never been opened."""
        await self._database.write(lambda connection: jobs.drop(connection, id=id))

    async def expire_holders(self, *, now: datetime) -> int:
        """End the vault holds whose time is over; gives their number."""
        return await self._database.write(lambda connection: self._vault.expire_holders(connection, now=now))


def _or_null(claims: Mapping[str, int] | None) -> Any:
    """JSON's own null would be a value like any other."""
    return dict(claims) if claims else null()
