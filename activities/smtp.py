"""Handing a message to the mail server, and what its answer means."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from typing import Literal

import aiosmtplib


@dataclass(frozen=True, kw_only=True)
class SmtpSettings:
    """Where mails are handed in. `timeout` bounds a whole delivery, not only its single commands.

    Certificates are verified. A private authority is trusted through the environment's `SSL_CERT_FILE`.
    """

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"] = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: timedelta = timedelta(seconds=30)


class MailNotAccepted(Exception):
    """The server did not take the mail. `code` says why; `is_temporary` whether another attempt may go better."""

    def __init__(self, *, code: str, is_temporary: bool) -> None:
        super().__init__(code)
        self.code = code
        self.is_temporary = is_temporary


async def hand_in(message: EmailMessage, *, sender: str, recipients: tuple[str, ...], smtp: SmtpSettings) -> None:
    """Hand a message to the mail server, over a connection of its own. One accepted recipient is enough.

    Raises:
        MailNotAccepted: with the meaning of what went wrong; the server's words quote the address and stay behind.
    """
    seconds = smtp.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            await aiosmtplib.send(
                message,
                sender=sender,
                recipients=list(recipients),
                hostname=smtp.host,
                port=smtp.port,
                username=smtp.user,
                password=smtp.password,
                use_tls=smtp.tls == "tls",
                start_tls=smtp.tls == "starttls",
                timeout=seconds,
            )
    except Exception as error:
        refused = meaning_of(error)
    else:
        return
    # Raised out here, so that the library's error, which quotes the address, is not even its context.
    raise refused


def meaning_of(error: Exception) -> MailNotAccepted:
    """What a failed delivery means. Only an answer about this mail or its recipient is permanent.

    A server that refuses us, our login or our sender refuses everybody's mail until somebody mends a setting: that is
    temporary, so that the mails of a badly configured hour are late and not lost (RFC 5321 §4.2.1, §4.5.4.1).
    """
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            meanings = [meaning_of(refused) for refused in error.recipients]
            return next((meaning for meaning in meanings if meaning.is_temporary), meanings[0])
        case aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            # 530: the server wants a login first, whatever command it says that at (RFC 4954 §6).
            return MailNotAccepted(code=_answered(error.code), is_temporary=error.code < 500 or error.code == 530)
        case aiosmtplib.SMTPAuthenticationError():
            return MailNotAccepted(code="smtp_login_refused", is_temporary=True)
        case aiosmtplib.SMTPSenderRefused():
            return MailNotAccepted(code=f"smtp_sender_refused_{_digits(error.code)}", is_temporary=True)
        case aiosmtplib.SMTPResponseException():
            # Greeting, EHLO, STARTTLS: nothing has been said about a mail yet.
            return MailNotAccepted(code=_answered(error.code), is_temporary=True)
        case aiosmtplib.SMTPNotSupported():
            return MailNotAccepted(code="smtp_not_supported", is_temporary=True)
        case TimeoutError():
            # aiosmtplib's own timeouts are TimeoutErrors, too.
            return MailNotAccepted(code="smtp_timeout", is_temporary=True)
        case aiosmtplib.SMTPServerDisconnected():
            return MailNotAccepted(code="smtp_disconnected", is_temporary=True)
        case OSError():
            # Refused connections, unknown hosts, and certificates that don't verify.
            return MailNotAccepted(code="smtp_unreachable", is_temporary=True)
        case aiosmtplib.SMTPException():
            return MailNotAccepted(code="smtp_failed", is_temporary=True)
        case UnicodeError() | ValueError():
            return MailNotAccepted(code="bad_address", is_temporary=False)
        case _:
            return MailNotAccepted(code="internal_error", is_temporary=True)


def _answered(code: int) -> str:
    return f"smtp_{_digits(code)}"


def _digits(code: int) -> str:
    """An answer's code as three digits: a server that talks nonsense doesn't get it into our records."""
    return str(code) if 200 <= code <= 599 else "nonsense"
