"""Headers of mails: encoded so that every word arrives, and so that a value somebody chose stays within its header."""

from email.header import Header
from email.headerregistry import Address, BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy


class _WholeWords(BaseHeader):
    """A header that loses no blank.

    Where Python's newer encoder breaks text of another script over two lines, it drops the blank between them
    (seen in 3.11): "حسابك في" arrives as "حسابكفي". The older encoder puts blanks into the encoded words.
    A plain subject that is a little too long it breaks before its first word, which then arrives with a blank before it.
    """

    def fold(self, *, policy: EmailPolicy) -> str:  # type: ignore[override]  # Only ever called with ours.
        """The header's lines."""
        if self.name.lower() == "subject" and self.isascii():
            return f"{self.name}: {self._encoded(self, policy=policy, charset='us-ascii')}{policy.linesep}"
        if policy.utf8 or self.isascii():
            return super().fold(policy=policy)
        addresses: tuple[Address, ...] | None = getattr(self, "addresses", None)
        if addresses is None:
            encoded = self._encoded(self, policy=policy)
        else:
            encoded = f",{policy.linesep} ".join(self._address(address, policy=policy) for address in addresses)
        return f"{self.name}: {encoded}{policy.linesep}"

    def _address(self, address: Address, *, policy: EmailPolicy) -> str:
        if address.display_name.isascii():
            return str(address)
        # On a line of its own: the last line of the name may be full.
        return f"{self._encoded(address.display_name, policy=policy)}{policy.linesep} <{address.addr_spec}>"

    def _encoded(self, text: str, *, policy: EmailPolicy, charset: str = "utf-8") -> str:
        return Header(str(text), charset, header_name=self.name).encode(linesep=policy.linesep)


def without_encoded_words(text: str) -> str:
    """Text that nothing decodes a second time: `=?…?=` of somebody's making can hold line breaks, and so headers."""
    return text.replace("=?", "= ?")


_HEADERS = HeaderRegistry(base_class=_WholeWords)
_ASCII = SMTP.clone(header_factory=_HEADERS)
_UTF8 = SMTPUTF8.clone(header_factory=_HEADERS)


def policy_for(recipients: tuple[Address, ...]) -> "EmailPolicy[EmailMessage]":
    """How a mail to these is written. Addresses of another script can only be written as they are (RFC 6531)."""
    return _ASCII if all(address.addr_spec.isascii() for address in recipients) else _UTF8
