"""The mailbox: an SMTP server that keeps every mail, and a page to read them."""

import argparse
import asyncio
import html
import time
from collections.abc import Iterable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.faults import Fault, FaultKind
from sandbox.server import arguments_parser, listen, main
from sandbox.service import Answer, Call, Route, Service

_FAULTS = (FaultKind.SLOW, FaultKind.STATUS, FaultKind.LOST_ANSWER, FaultKind.LIE, FaultKind.DROP)
_ALL_MAILS = "<a href='/'>All mails</a>"


class Mailbox(Service):
    """Everybody's mails. Faults hit the SMTP commands (`method`: RCPT or DATA; `user`: the recipient's address)."""

    name: ClassVar[str] = "mailbox"
    schema: ClassVar[str] = """
        create table if not exists mails (
            number integer primary key, at real not null, recipient text not null, sender text not null,
            message_id text, subject text, raw blob not null);
        create index if not exists mails_by_recipient on mails (recipient);
    """

    def __init__(self, *, database: Path, smtp_port: int) -> None:
        super().__init__(database=database)
        self._smtp_port = smtp_port

    async def start(self) -> None:
        """Open the SMTP port."""
        listener = listen(port=self._smtp_port)
        await asyncio.get_running_loop().create_server(
            lambda: SMTP(_Handler(mailbox=self), hostname="mailbox.example", enable_SMTPUTF8=True), sock=listener
        )
        print(f"{self.name}: smtp://127.0.0.1:{listener.getsockname()[1]}", flush=True)

    def routes(self) -> Iterable[Route]:
        """Pages for people, JSON for tests."""
        return (
            Route(method="GET", path="/", endpoint=self._show_index, needs_token=False),
            Route(method="GET", path="/mails", endpoint=self._list_mails, needs_token=False),
            Route(method="GET", path="/mails/{number}", endpoint=self._show_mail, needs_token=False),
        )

    def add_person(self, person: dict[str, Any]) -> None:
        """Nobody needs to be known to get mail."""

    def kept(self, *, user_id: str) -> dict[str, Any] | None:
        """The mailbox knows addresses only."""
        return None

    def store(self, *, recipient: str, sender: str, raw: bytes) -> None:
        """Keep a mail."""
        mail = _parse(raw)
        self.database.execute(
            "insert into mails (at, recipient, sender, message_id, subject, raw) values (?, ?, ?, ?, ?, ?)",
            (time.time(), recipient, sender, mail["message-id"], str(mail["subject"] or ""), raw),
        )
        self.journal.effect(user_id=recipient, effect="mail", key=mail["message-id"])

    def _list_mails(self, call: Call) -> Answer:
        return Answer(body=[_as_json(row) for row in self._rows(call.query.get("to"))])

    def _show_index(self, call: Call) -> Answer:
        recipient = call.query.get("to")
        lines = "".join(_line_of(row) for row in self._rows(recipient))
        table = f"<table><tr><th>Time<th>To<th>Subject{lines}</table>"
        if recipient is None:
            return Answer(body=_page("Mails", table))
        return Answer(body=_page(f"Mails to {recipient}", f"{table}<p>{_ALL_MAILS}"))

    def _rows(self, recipient: str | None) -> list[Any]:
        return self.database.execute(
            "select * from mails where ? is null or recipient = ? order by number", (recipient, recipient)
        ).fetchall()

    def _show_mail(self, call: Call) -> Answer:
        row = self.database.execute("select * from mails where number = ?", (call.arguments["number"],)).fetchone()
        if row is None:
            return Answer(status=404, body=_page("No such mail", _ALL_MAILS))
        mail = _as_json(row)
        shown = "".join(
            f"<tr><th>{title}<td>{html.escape(str(mail[name]))}"
            for name, title in (("from", "From"), ("to", "To"), ("subject", "Subject"), ("message_id", "Message-ID"))
        )
        # A frame without rights: whatever a mail brings along can't act on this page.
        body = (
            f"<iframe sandbox srcdoc='{html.escape(mail['html'])}'></iframe>"
            if mail["html"]
            else f"<pre>{html.escape(mail['text'])}</pre>"
        )
        return Answer(body=_page(mail["subject"], f"<table>{shown}</table>{body}<p>{_ALL_MAILS}"))


class _Handler:
    """What aiosmtpd calls. One of `_FAULTS` may apply to RCPT or to DATA."""

    def __init__(self, *, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._mailbox.journal.request(method="RCPT", path="/", user_id=address, key=None)
        kinds = (FaultKind.SLOW, FaultKind.STATUS, FaultKind.DROP)
        fault = await self._mistreat(server=server, method="RCPT", address=address, kinds=kinds)
        if fault and fault.kind is FaultKind.STATUS:
            return _refusal(fault)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        fault = None
        for address in envelope.rcpt_tos:
            self._mailbox.journal.request(method="DATA", path="/", user_id=address, key=None)
            fault = await self._mistreat(server=server, method="DATA", address=address, kinds=_FAULTS)
            if fault and fault.kind is FaultKind.STATUS:
                return _refusal(fault)
            if fault is None or fault.kind not in (FaultKind.LIE, FaultKind.DROP):
                self._mailbox.store(recipient=address, sender=envelope.mail_from or "", raw=raw)
        if fault and fault.kind is FaultKind.LOST_ANSWER:
            _hang_up(server)
        return "250 OK"

    async def _mistreat(self, *, server: SMTP, method: str, address: str, kinds: tuple[FaultKind, ...]) -> Fault | None:
        fault = self._mailbox.faults.take(method=method, path="/", user_id=address, kinds=kinds)
        if fault:
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind is FaultKind.DROP:
            _hang_up(server)
        return fault


def _hang_up(server: SMTP) -> None:
    if server.transport is not None:
        server.transport.close()


def _refusal(fault: Fault) -> str:
    reply = "try again later" if fault.status < 500 else "mailbox unavailable"
    return f"{fault.status} {fault.status // 100}.0.0 {reply}"


def _parse(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)


def _as_json(row: Any) -> dict[str, Any]:
    mail = _parse(row["raw"])
    parts = {kind: mail.get_body(preferencelist=(kind,)) for kind in ("plain", "html")}
    content = {kind: str(part.get_content()).replace("\r\n", "\n") if part else "" for kind, part in parts.items()}
    return {
        "number": row["number"],
        "at": row["at"],
        "to": row["recipient"],
        "from": str(mail["from"] or row["sender"]),
        "message_id": row["message_id"],
        "subject": row["subject"],
        "text": content["plain"],
        "html": content["html"],
        "headers": {name.lower(): str(value) for name, value in mail.items()},
    }


def _line_of(row: Any) -> str:
    """A mail's line in the list; its recipient leads to all that is theirs."""
    theirs = html.escape(urlencode({"to": row["recipient"]}, safe="@"))
    return (
        f"<tr><td>{time.strftime('%H:%M:%S', time.localtime(row['at']))}"
        f"<td><a href='/?{theirs}'>{html.escape(row['recipient'])}</a>"
        f"<td><a href='/mails/{row['number']}'>{html.escape(row['subject'] or '(no subject)')}</a>"
    )


def _page(title: str, body: str) -> str:
    style = (
        "body{font:16px system-ui;margin:2rem auto;max-width:60rem}table{border-spacing:1rem .3rem}"
        "th{text-align:left}iframe{width:100%;height:70vh;min-height:32rem;border:1px solid #ccc}"
    )
    name = html.escape(title)
    return f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{style}</style><h1>{name}</h1>{body}"


def _make(arguments: argparse.Namespace) -> Mailbox:
    return Mailbox(database=arguments.database, smtp_port=arguments.smtp_port)


if __name__ == "__main__":
    _parser = arguments_parser(name=Mailbox.name)
    _parser.add_argument("--smtp-port", type=int, default=0, help="loopback port for SMTP; 0 (default) for a free one")
    main(make=_make, parser=_parser)
