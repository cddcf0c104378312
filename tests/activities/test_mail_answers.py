"""What a mail server's answer means, as a table; and no error of the library below is without a meaning."""

import ssl

import aiosmtplib
import pytest
from aiosmtplib import errors

from activities.smtp import meaning_of

ADDRESS = "ada@person.example"
TEXT = f"<{ADDRESS}> is not welcome"

TABLE: list[tuple[Exception, str, bool]] = [
    (aiosmtplib.SMTPRecipientRefused(550, TEXT, ADDRESS), "smtp_550", False),
    (aiosmtplib.SMTPRecipientRefused(553, TEXT, ADDRESS), "smtp_553", False),
    (aiosmtplib.SMTPRecipientRefused(450, TEXT, ADDRESS), "smtp_450", True),
    (aiosmtplib.SMTPRecipientRefused(530, TEXT, ADDRESS), "smtp_530", True),
    (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, TEXT, ADDRESS)]), "smtp_550", False),
    (
        aiosmtplib.SMTPRecipientsRefused(
            [aiosmtplib.SMTPRecipientRefused(550, TEXT, ADDRESS), aiosmtplib.SMTPRecipientRefused(451, TEXT, ADDRESS)]
        ),
        "smtp_451",
        True,
    ),
    (aiosmtplib.SMTPDataError(554, TEXT), "smtp_554", False),
    (aiosmtplib.SMTPDataError(452, TEXT), "smtp_452", True),
    (aiosmtplib.SMTPDataError(-1, TEXT), "smtp_nonsense", True),
    (aiosmtplib.SMTPAuthenticationError(535, TEXT), "smtp_login_refused", True),
    (aiosmtplib.SMTPSenderRefused(550, TEXT, ADDRESS), "smtp_sender_refused_550", True),
    (aiosmtplib.SMTPSenderRefused(451, TEXT, ADDRESS), "smtp_sender_refused_451", True),
    (aiosmtplib.SMTPHeloError(504, TEXT), "smtp_504", True),
    (aiosmtplib.SMTPConnectResponseError(554, TEXT), "smtp_554", True),
    (aiosmtplib.SMTPResponseException(500, TEXT), "smtp_500", True),
    (aiosmtplib.SMTPNotSupported(TEXT), "smtp_not_supported", True),
    (aiosmtplib.SMTPTimeoutError(TEXT), "smtp_timeout", True),
    (aiosmtplib.SMTPConnectTimeoutError(TEXT), "smtp_timeout", True),
    (aiosmtplib.SMTPReadTimeoutError(TEXT), "smtp_timeout", True),
    (aiosmtplib.SMTPServerDisconnected(TEXT), "smtp_disconnected", True),
    (aiosmtplib.SMTPConnectError(TEXT), "smtp_unreachable", True),
    (aiosmtplib.SMTPException(TEXT), "smtp_failed", True),
    (TimeoutError(TEXT), "smtp_timeout", True),
    (ConnectionResetError(TEXT), "smtp_unreachable", True),
    (ssl.SSLCertVerificationError(TEXT), "smtp_unreachable", True),
    (ValueError(TEXT), "bad_address", False),
    (RuntimeError(TEXT), "internal_error", True),
]


@pytest.mark.parametrize(("error", "code", "is_temporary"), TABLE, ids=lambda value: type(value).__name__)
def test_an_answer_has_one_meaning(error: Exception, code: str, is_temporary: bool) -> None:
    meaning = meaning_of(error)
    assert (meaning.code, meaning.is_temporary) == (code, is_temporary)
    assert "ada" not in f"{meaning!r} {meaning}"


def test_every_error_of_the_library_is_in_the_table() -> None:
    """The library below may grow one: then somebody has to say what it means."""
    known = {name for name in errors.__all__ if issubclass(getattr(errors, name), Exception)}
    assert len(known) >= 15
    assert known == {type(error).__name__ for error, _, _ in TABLE if isinstance(error, aiosmtplib.SMTPException)}
