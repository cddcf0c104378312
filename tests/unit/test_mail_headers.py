"""Headers arrive as they were meant, read by the rules (RFC 2047) and not by the library that wrote them."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import compat32

from hypothesis import example, given
from hypothesis import strategies as st

from activities.mail_headers import policy_for, without_encoded_words
from activities.mail_templates import one_line

WORDS = [
    "سيُحذف",
    "حسابك",
    "في",
    "Konto",
    "gelöscht",
    "18",
    "2026",
    "&",
    '"x"',
    "<b>",
    "ع",
    "😀",
    "=?utf-8?q?a=0D=0Ab:c?=",
    ",",
    "@",
]
texts = (st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=150)).map(
    lambda text: without_encoded_words(one_line(text))
)


@given(subject=texts, name=texts)
@example(subject="[retirement] legal limit is near: r-madeup0000000000000000000000000 (acme)", name="")
@example(subject="موعد جديد: سيُحذف حسابك في 18 مارس 2026", name='Wilhelmine "Minna" Müller-Łukaszewicz & عائشة x')
def test_subject_and_name_arrive_whole_on_lines_that_are_short_enough(subject: str, name: str) -> None:
    ada = Address(display_name=name, username="ada", domain="person.example")
    message = EmailMessage(policy=policy_for((ada,)))
    message["To"] = (ada,)
    message["Subject"] = subject
    message.set_content("text")
    written = message.as_bytes()
    assert written.isascii()
    head, _, _ = written.partition(b"\r\n\r\n")
    # A plain word longer than that can't be broken, and may be up to 998 long (RFC 5322 §2.1.1).
    assert all(len(line) <= 78 or (b"=?" not in line and len(line) <= 998) for line in head.split(b"\r\n"))
    read = message_from_bytes(written, policy=compat32)
    assert {key.lower() for key in read.keys()} <= {
        "to", "subject", "content-type", "content-transfer-encoding", "mime-version"
    }  # fmt: skip
    if subject.isascii():
        # Unfolding gives it back (RFC 5322 §2.2.3), without a blank before its first word.
        assert (read["Subject"] or "").replace("\r\n", "").replace("\n", "") == subject
    else:
        assert str(make_header(decode_header(read["Subject"] or ""))) == subject
    if not name.isascii():
        assert str(make_header(decode_header(read["To"]))) == f"{name} <ada@person.example>"
