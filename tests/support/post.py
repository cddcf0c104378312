"""A case with its person in the vault, and the activity that mails about it."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.mail import MailActivities
from activities.smtp import SmtpSettings
from ledger.keys import Keys
from ledger.ledger import Ledger
from ledger.migrate import upgrade
from ledger.rows import StoredPlan
from plans.model import Plan
from plans.outline import snapshot_of
from tests.support.smtp_server import Mailbox
from workflows.messages import MailReport, SendMail, Start
from workflows.names import Mail

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = {"email": "ada@person.example", "name": "Ada Lovelace"}
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


class Post:
    """One case with its person in the vault, and the activity that mails about it."""

    def __init__(self, *, ledger: Ledger, database: Path, retirement_id: str, plan_digest: str) -> None:
        self.ledger = ledger
        self._database = database
        self.retirement_id = retirement_id
        self._plan_digest = plan_digest

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
        activities = MailActivities(ledger=self.ledger, smtp=SmtpSettings(**settings), templates_dir=templates_dir)
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=at, attempt=attempt)
        message = SendMail(
            retirement_id=self.retirement_id,
            user_id="u-1",
            plan_digest=self._plan_digest,
            mail=mail,
            now=NOW,
            **{"cool_off_ends_at": datetime(2026, 3, 18, 9, 30, tzinfo=UTC)} | fields,
        )
        report: MailReport = await environment.run(activities.send_mail, message)
        return report

    async def recorded(self) -> list[tuple[str, str, str | None]]:
        """Each mail in the ledger: which, how it fared, and why."""
        return [(row.mail, row.result, row.code) for row in await self.ledger.mails(self.retirement_id)]

    def holders(self) -> set[str]:
        """Who still holds the vault entry, as the database has it."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            return {row[0] for row in connection.execute("select holder from vault_holders")}


@contextlib.asynccontextmanager
async def a_post(
    folder: Path, *, person: dict[str, Any] | None = None, plan: Plan | None = None, locale: str | None = None
) -> AsyncIterator[Post]:
    """Open a case on a ledger of its own and put the person into the vault."""
    database = folder / "ledger.db"
    url = f"sqlite:///{database}"
    upgrade(url)
    ledger = Ledger(url=url, keys=Keys.create(folder / "keys.json"))
    try:
        await ledger.set_up()
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
            holders=("run", "mail"),
        )
        assert opening.case is not None
        id = opening.case.retirement_id
        await ledger.store_subject(retirement_id=id, values=ADA if person is None else person, present=())
        yield Post(ledger=ledger, database=database, retirement_id=id, plan_digest=snapshot.digest)
    finally:
        ledger.close()
