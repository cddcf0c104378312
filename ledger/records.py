"""The ledger as its users see it: set-up, and what it tells. Each call is one transaction."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection

from ledger import (
    assets,
    cases,
    claims,
    correspondence,
    deadlines,
    jobs,
    readiness,
    starts,
    steps,
    successions,
    transfers,
    work,
)
from ledger.database import Database
from ledger.jobs import Job, JobKind
from ledger.keys import Keys
from ledger.rows import (
    AssetRow,
    Case,
    CaseKind,
    MailRow,
    Resume,
    StepAction,
    StepRow,
    StepStart,
    StoredPlan,
    Transactions,
    VaultValues,
    Work,
)
from ledger.transfers import TransferOpening, TransferWish
from ledger.vault import Vault
from workflows.messages import MessageRow, StepOutcome
from workflows.names import AssetResult, Outcome


class Records:
    """What can be read of cases, steps, correspondence and plans. `Ledger` adds what is written."""

    def __init__(self, *, url: str, keys: Keys) -> None:
        self._database = Database(url=url)
        self._keys = keys
        self._vault = Vault(keys=keys)

    def close(self) -> None:
        """Let what runs end, then close every connection."""
        self._database.close()

    @property
    def transactions(self) -> Transactions:
        """Transactions this ledger has begun so far."""
        return self._database.transactions

    async def set_up(self) -> None:
        """Bring the tables up to date and tie the database to the subject key. Safe to repeat.

        Raises:
            LedgerNotReady: the database belongs to another subject key.
        """
        await self._database.write(readiness.migrate)
        await self._database.write(lambda connection: readiness.tie_to_keys(connection, keys=self._keys))

    async def check(self) -> None:
        """Make sure that tables and keys are as this version needs them.

        Raises:
            LedgerNotReady: they are not; the message says what to do.
        """
        await self._database.read(lambda connection: readiness.check(connection, keys=self._keys, vault=self._vault))

    async def checkpoint(self) -> None:
        """Bring SQLite's write-ahead log into the file and cut it, so that nothing deleted lingers."""
        await self._database.checkpoint()

    async def case(self, retirement_id: str) -> Case | None:
        """A case by its id."""
        return await self._database.read(lambda connection: cases.read_case(connection, retirement_id=retirement_id))

    async def find(self, *, user_id: str, tenant: str | None, kind: CaseKind = CaseKind.RETIREMENT) -> Case | None:
        """The subject's latest case."""
        key = self._keys.subject_key(user_id=user_id, tenant=tenant)

        def latest(connection: Connection) -> Case | None:
            found = cases.cases_of_subject(connection, subject_key=key, kind=kind)
            return next(iter(found), None)

        return await self._database.read(latest)

    async def cases(
        self,
        *,
        live_only: bool = False,
        outcome: Outcome | None = None,
        plan: str | None = None,
        limit: int = 100,
        kind: CaseKind = CaseKind.RETIREMENT,
    ) -> list[Case]:
        """Cases, newest first."""
        return await self._database.read(
            lambda connection: cases.select_cases(
                connection, live_only=live_only, outcome=outcome, plan=plan, limit=limit, kind=kind
            )
        )

    async def stored_plan(self, digest: str) -> StoredPlan | None:
        """The plan a case was given."""
        return await self._database.read(lambda connection: cases.read_plan(connection, digest=digest))

    async def claim_versions(self, *, tenant: str | None, wanted: tuple[str, ...]) -> dict[str, int]:
        """What is claimed, by the ledger's own name for it, with how often it changed hands so far."""
        keys = tuple(self._keys.claim_key(claim=claim, tenant=tenant) for claim in wanted)
        return await self._database.read(lambda connection: claims.versions(connection, keys=keys))

    async def is_retiring(self, *, user_id: str, tenant: str | None) -> bool:
        """Is a retirement of this person under way?"""
        key = self._keys.subject_key(user_id=user_id, tenant=tenant)
        return await self._database.read(lambda connection: successions.is_retiring(connection, subject_key=key))

    async def pending_assets(self, *, retirement_id: str, step: str, behind: int, most: int) -> list[AssetRow]:
        """The next assets of a step that nothing final is known of, behind a position.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        return await self._database.read(
            lambda connection: assets.pending(
                connection, self._vault, retirement_id=retirement_id, step=step, behind=behind, most=most
            )
        )

    async def assets(self, retirement_id: str) -> list[AssetRow]:
        """All assets of a case, step by step.

        Raises:
            VaultMissing: the vault entry is gone.
        """
        return await self._database.read(
            lambda connection: assets.read(connection, self._vault, retirement_id=retirement_id)
        )

    async def asset_counts(self, retirement_id: str) -> dict[str, dict[AssetResult | None, int]]:
        """How many assets of each step came to which result; None for those still to be done."""
        return await self._database.read(lambda connection: assets.counts(connection, retirement_id=retirement_id))

    async def plans_at_work(self) -> list[str]:
        """The digests of the plans of all retirements that are not closed."""
        return await self._database.read(deadlines.plans_at_work)

    async def due_untold(self, *, plan_digest: str, by: datetime) -> list[str]:
        """The ids of a plan's retirements that are due by then, have no end yet, and of which operators weren't told so."""
        return await self._database.read(
            lambda connection: deadlines.due_untold(connection, plan_digest=plan_digest, by=by)
        )

    async def look_at_transfer(self, wish: TransferWish) -> TransferOpening:
        """What would become of a wish to hand over; writes nothing."""
        return await self._database.read(lambda connection: transfers.look_at(connection, keys=self._keys, wish=wish))

    async def resumes(self, retirement_id: str) -> list[Resume]:
        """A case's resumes, oldest first."""
        return await self._database.read(
            lambda connection: starts.read_resumes(connection, retirement_id=retirement_id)
        )

    async def begin_step(self, *, retirement_id: str, step: str, action: str) -> StepStart:
        """Everything a step needs to begin, as of one instant."""

        def start(connection: Connection) -> StepStart:
            return StepStart(
                case=cases.existing_case(connection, retirement_id=retirement_id),
                row=steps.read_step(connection, retirement_id=retirement_id, step=step, action=action),
                values=self._vault.read(connection, retirement_id=retirement_id),
            )

        return await self._database.read(start)

    async def steps(self, retirement_id: str) -> list[StepRow]:
        """A case's steps."""
        return await self._database.read(lambda connection: steps.read_steps(connection, retirement_id=retirement_id))

    async def outcomes(self, retirement_id: str) -> list[tuple[StepAction, StepOutcome]]:
        """Every outcome ever recorded for a case, oldest first, with who skipped."""
        return await self._database.read(
            lambda connection: steps.read_outcomes(connection, retirement_id=retirement_id)
        )

    async def messages(self, retirement_id: str) -> list[MessageRow]:
        """A case's messages, oldest first."""
        return await self._database.read(
            lambda connection: correspondence.read_messages(connection, retirement_id=retirement_id)
        )

    async def jobs(self, *, site: str, kind: JobKind) -> list[Job]:
        """The open jobs of a site's operators, oldest first, with what they know.

        Raises:
            VaultLocked: a key that one was sealed under is unknown here.
        """
        return await self._database.read(
            lambda connection: jobs.read(connection, keys=self._keys, site=site, kind=kind)
        )

    async def finished_jobs(self, *, site: str, kind: JobKind, keys: Collection[str]) -> set[str]:
        """Which of these keys have a job that is finished."""
        return await self._database.read(lambda connection: jobs.finished(connection, site=site, kind=kind, keys=keys))

    async def last_job_begun(self, *, site: str, kind: JobKind) -> datetime | None:
        """When the newest job of a kind was opened, finished or not."""
        return await self._database.read(lambda connection: jobs.last_begun(connection, site=site, kind=kind))

    async def unseen_since(
        self, *, plan: str, step: str, since: datetime | None, seen: Iterable[str], tenant: str | None = None
    ) -> list[str]:
        """Retirements whose step of a plan was done since then, and whose user id is not among those that were seen."""
        keys = {self._keys.subject_key(user_id=user_id, tenant=tenant) for user_id in seen}
        done = await self._database.read(
            lambda connection: jobs.done_since(connection, plan=plan, step=step, since=since)
        )
        return [retirement_id for key, retirement_id in done.items() if key not in keys]

    async def work(self, retirement_id: str) -> list[Work]:
        """A case's work that outlives it or that a person does, oldest first."""
        return await self._database.read(lambda connection: work.read(connection, retirement_id=retirement_id))

    async def all_work(self, *, left_only: bool, limit: int) -> list[Work]:
        """Everybody's, oldest first. `left_only`: where there is something left to do."""
        return await self._database.read(lambda connection: work.read_all(connection, left_only=left_only, limit=limit))

    async def values(self, retirement_id: str) -> VaultValues | None:
        """The vault's entry of a case; None where it is shredded.

        Raises:
            VaultLocked: the key that it was sealed under is unknown here.
        """
        return await self._database.read(lambda connection: self._vault.read(connection, retirement_id=retirement_id))

    async def mails(self, retirement_id: str) -> list[MailRow]:
        """A case's mails, oldest first."""
        return await self._database.read(
            lambda connection: correspondence.read_mails(connection, retirement_id=retirement_id)
        )
