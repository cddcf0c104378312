"""Messages received and mails sent: append-only. Every function works inside the caller's transaction."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from ledger import schema
from ledger.rows import MailRow
from workflows.messages import MessageRow


def append_messages(connection: Connection, *, retirement_id: str, messages: Iterable[MessageRow]) -> None:
    """Append messages. What a repeated activity brings a second time is recognised and left out."""
    brought = Counter(messages)
    if not brought:
        return
    known = Counter(read_messages(connection, retirement_id=retirement_id))
    new = brought - known
    if new:
        connection.execute(
            insert(schema.messages),
            [
                {
                    "retirement_id": retirement_id,
                    "kind": message.kind,
                    "accepted": message.accepted,
                    "code": message.code,
                    "sent_by": message.by,
                    "reason_code": message.reason_code,
                    "at": message.at,
                }
                for message in new.elements()
            ],
        )


def read_messages(connection: Connection, *, retirement_id: str) -> list[MessageRow]:
    """A case's messages, oldest first."""
    table = schema.messages
    rows = connection.execute(
        select(table).where(table.c.retirement_id == retirement_id).order_by(table.c.id)
    ).mappings()
    return [
        MessageRow(
            kind=row["kind"],
            accepted=row["accepted"],
            code=row["code"],
            at=row["at"],
            by=row["sent_by"],
            reason_code=row["reason_code"],
        )
        for row in rows
    ]


def append_mail(
    connection: Connection, *, retirement_id: str, mail: str, number: str, result: str, code: str | None, at: datetime
) -> None:
    """Append how an attempt at a mail fared."""
    connection.execute(
        insert(schema.mails),
        {"retirement_id": retirement_id, "mail": mail, "number": number, "result": result, "code": code, "at": at},
    )


def read_mails(connection: Connection, *, retirement_id: str) -> list[MailRow]:
    """A case's mails, oldest first."""
    table = schema.mails
    rows = connection.execute(
        select(table).where(table.c.retirement_id == retirement_id).order_by(table.c.id)
    ).mappings()
    return [
        MailRow(mail=row["mail"], number=row["number"], result=row["result"], code=row["code"], at=row["at"])
        for row in rows
    ]
