"""A case with its person in the vault, and the activity that mails about it."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.mail import MailActivities
from activities.smtp import SmtpSettings
from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.rows import Asset, Case, CaseState, StoredPlan
from plans.model import Plan
from plans.outline import snapshot_of
from tests.support.ledgers import a_ledger
from tests.support.smtp_server import Mailbox
from workflows.messages import MailReport, SendMail, Start, StepOutcome
from workflows.names import AssetResult, Mail, StepResult

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = {"email": "ada@person.example", "name": "Ada Lovelace"}
GRACE = {"id": "u-2", "name": "Grace Hopper", "email": "grace@acme.example"}
ADMINS = ["admin@acme.example", "root@acme.example", "night@acme.example"]
REQUEST = {"method": "DELETE", "path": "/users/{{ user_id }}"}


def a_mailing_plan(**overrides: Any) -> Plan:
    """A plan that mails to the person and to two operators."""
    erase = {"phase": "erase", "service": "accounts", "request": REQUEST}
    return Plan.model_validate(
        {
            "plan": "acme",
            "subject": {"lookup": {"service": "accounts", "request": {"method": "GET", "path": "/"}}},
            "mail": {
                "from": "Acme Accounts <accounts@acme.example>",
                "support": "help@acme.example",
                "operators": ["ops@acme.example", "night@acme.example"],
            },
            "services": {"accounts": {"base_url": "http://127.0.0.1"}},
            "steps": {
                "lock": erase | {"phase": "freeze", "undo": {"request": REQUEST}},
                "forum_posts": erase,
                "newsletter": erase,
                "profile": erase,
                "invoices": {"phase": "erase", "retain": {"ground": "tax law, <10> years", "for": "3650d"}},
            },
        }
        | overrides
    )


def a_team_plan(**mail: Any) -> Plan:
    """A plan that hands documents over before it erases, and tells admins and two recipients of data."""
    disclosed = [
        {"address": "privacy@one.example", "reference": "C-{{ user_id }}"},
        {"address": "{{ subject.partner }}", "reference": "{{ subject.partner_id }}"},
    ]
    plan = a_mailing_plan().model_dump(mode="json", by_alias=True)
    listed = {"request": REQUEST | {"method": "GET"}, "items": "body", "id": "item.id"}
    documents = {
        "phase": "transfer",
        "service": "accounts",
        "successor": "colleague",
        "assets": listed,
        "request": REQUEST,
    }
    suitable = {"service": "accounts", "request": REQUEST | {"method": "GET"}, "when": "true"}
    told = {"admins": ["{{ facts.admins }}"], "recipients": disclosed}
    return Plan.model_validate(
        plan
        | {
            "successors": {"colleague": {"suitable": suitable}},
            "mail": plan["mail"] | told | mail,
            "steps": {"documents": documents, **plan["steps"]},
        }
    )


def a_case_row(**overrides: Any) -> Case:
    """A retirement at work, as the ledger tells of it."""
    known: dict[str, Any] = {
        **dict.fromkeys(
            ("workflow_id", "outcome", "reason", "direction", "resumed_run_key", "request_id", "requested_by")
        ),
        **dict.fromkeys(("reason_code", "tenant", "locale", "closed_at", "present", "claims", "shredded_at")),
        **dict.fromkeys(("requested_at", "opened_at", "since"), NOW),
        **{"retirement_id": "r-1", "plan": "acme", "plan_digest": "", "run_key": "run-1", "hosts": {}},
        **{"state": CaseState.OPEN, "cool_off_ends_at": NOW + 14 * DAY, "due_at": NOW + 31 * DAY},
    }
    return Case(**known | overrides)


class Post:
    """One case with its person in the vault, and the activity that mails about it."""

    def __init__(self, *, ledger: Ledger, database: Path, retirement_id: str, plan_digest: str) -> None:
        self.ledger = ledger
        self._database = database
        self.retirement_id = retirement_id
        self._plan_digest = plan_digest
        #: By their settings: templates are compiled once.
        self._activities: dict[str, MailActivities] = {}

    async def send(
        self,
        mailbox: Mailbox,
        mail: Mail = Mail.RECEIVED,
        *,
        at: datetime = NOW,
        attempt: int = 1,
        smtp: dict[str, Any] | None = None,
        templates_dir: Path | None = None,
        **fields: Any,
    ) -> MailReport:
        """Run the activity once, as its n-th attempt at an instant of the server's clock."""
        settings: dict[str, Any] = {"host": "127.0.0.1", "port": mailbox.port, "tls": "none"}
        settings |= {"timeout": timedelta(seconds=5)} | (smtp or {})
        activities = self._activities.setdefault(
            f"{settings} {templates_dir}",
            MailActivities(ledger=self.ledger, smtp=SmtpSettings(**settings), templates_dir=templates_dir),
        )
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=at, attempt=attempt)
        message = SendMail(
            retirement_id=self.retirement_id,
            user_id="u-1",
            plan_digest=self._plan_digest,
            mail=mail,
            **{"now": NOW, "cool_off_ends_at": datetime(2026, 3, 18, 9, 30, tzinfo=UTC)} | fields,
        )
        report: MailReport = await environment.run(activities.send_mail, message)
        return report

    async def owns(
        self, assets: Sequence[tuple[Asset, AssetResult | None, str | None]], *, step: str = "documents"
    ) -> None:
        """What the person owned at a step's service, and what became of each, with its code."""
        listed = [asset for asset, _, _ in assets]
        await self.ledger.note_assets(retirement_id=self.retirement_id, step=step, inventory=1, listed=listed)
        keys = {row.asset.id: row.key for row in await self.ledger.assets(self.retirement_id)}
        results = {keys[asset.id]: (result, code) for asset, result, code in assets if result is not None}
        await self.ledger.record_assets(retirement_id=self.retirement_id, step=step, results=results)

    async def hands_over(self, *, result: StepResult = StepResult.TRANSFERRED, step: str = "documents") -> None:
        """Grace was chosen, and the step came to its end."""
        await self.ledger.choose_successors(
            retirement_id=self.retirement_id, tenant=None, chosen={"colleague": GRACE}, at=NOW
        )
        await self.ledger.record_outcomes(self.retirement_id, [StepOutcome(step=step, result=result, at=NOW)])

    async def numbered(self) -> dict[str, str]:
        """How each delivery fared, by its number, with its code."""
        rows = await self.ledger.mails(self.retirement_id)
        return {row.number: row.result + (f" {row.code}" if row.code else "") for row in rows}

    async def recorded(self) -> list[tuple[str, str, str | None]]:
        """Each mail in the ledger: which, how it fared, and why."""
        return [(row.mail, row.result, row.code) for row in await self.ledger.mails(self.retirement_id)]

    def holders(self) -> set[str]:
        """Who still holds the vault entry, as the database has it."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            return {row[0] for row in connection.execute("select holder from vault_holders")}


@contextlib.asynccontextmanager
async def a_post(
    folder: Path,
    *,
    person: dict[str, Any] | None = None,
    plan: Plan | None = None,
    locale: str | None = None,
    admins: Sequence[Any] = ADMINS,
) -> AsyncIterator[Post]:
    """Open a case on a ledger of its own and put the person and the admins into the vault."""
    async with a_ledger("sqlite", folder=folder, keys=Keys.create(folder / "keys.json")) as ledger:
        plan = plan or a_mailing_plan()
        snapshot = snapshot_of(plan)
        opening = await ledger.open_case(
            start=Start(user_id="u-1", requested_at=NOW, locale=locale),
            workflow_id="retire-user-u-1",
            run_key="run-1",
            now=NOW,
            plan=StoredPlan(**vars(snapshot)),
            hosts={},
            cool_off_ends_at=NOW + 14 * DAY,
            due_at=NOW + 31 * DAY,
            holders=("run", "mail", *(("admins", "recipients") if plan.mail and plan.mail.admins else ())),
        )
        assert opening.case is not None
        id = opening.case.retirement_id
        await ledger.store_subject(retirement_id=id, values=ADA if person is None else person, present=())
        await ledger.keep_people(retirement_id=id, people={"admins": list(admins)})
        yield Post(ledger=ledger, database=folder / "ledger.db", retirement_id=id, plan_digest=snapshot.digest)
