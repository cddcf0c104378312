"""Certificates of the stand-in's learners, with files in a real folder, and the desk from which they are purged."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openedx.certificates.blanking import Blanked
from openedx.certificates.listing import read_listing
from sandbox.lms.client import StandInLms
from tests.openedx.desk import Desk, a_desk
from tests.support.commands import Ended

ROUTE = "purge_certificates"
HEADER = "certificate_id,user_id,retired,download_url,download_uuid,verify_uuid"
#: What no rule touches.
KEPT = ("status", "verify_uuid", "grade", "name")
PURGE = "purge-certificates"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Certificates in the stand-in's table with files in a folder, and the desk from which they are purged."""

    desk: Desk
    store: Path

    @property
    def lms(self) -> StandInLms:
        """The stand-in."""
        return self.desk.lms

    def learner(self, username: str, *, state: str | None = "LMS_COMPLETE") -> int:
        """A learner; gives the LMS user id. Retired, unless `state` says otherwise."""
        made = self.lms.add_learner(username, state=state)
        return int(made["user"]["id"] if state is not None else made["id"])

    def certificate(self, user_id: int, *, files: int = 4, **details: Any) -> dict[str, Any]:
        """A certificate with so many of its files."""
        added = self.lms.add_certificate(user_id, **details)
        for path in self.paths(added)[:files]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("Ada Lovelace has passed")
        return added

    def paths(self, certificate: dict[str, Any]) -> list[Path]:
        """Where its four files are."""
        download, verify = certificate["download_uuid"], certificate["verify_uuid"]
        return [
            self.store / "downloads" / download / "Certificate.pdf",
            *(self.store / "cert" / verify / name for name in ("Certificate.pdf.sig", "valid.html", "verify.html")),
        ]

    def files(self, certificate: dict[str, Any]) -> int:
        """How many of them are there."""
        return sum(path.exists() for path in self.paths(certificate))

    def now(self, certificate: dict[str, Any]) -> dict[str, Any]:
        """It, as the LMS has it now."""
        [found] = [each for each in self.lms.certificates() if each["id"] == certificate["id"]]
        return found

    def is_blank(self, certificate: dict[str, Any]) -> bool:
        """Has the LMS forgotten its links?"""
        now = self.now(certificate)
        return [now["download_url"], now["download_uuid"]] == ["", ""]

    def blank_by_command(self) -> None:
        """The site starts the LMS's own command."""
        manage = [sys.executable, "-m", "sandbox.lms.manage", "--url", self.lms.url]
        self.configure({"command": [*manage, "lms", "purge_references_to_pdf_certificates"]})

    def blank_by_url(self, **more: Any) -> None:
        """The site has an endpoint; `more` of its settings for certificates."""
        auth = {
            "type": "oauth2_client_credentials",
            "token_url": f"{self.lms.url}/oauth2/access_token",
            "client_id": "retirement",
            "client_secret": "${env:OPENEDX_CLIENT_SECRET}",
            "scheme": "JWT",
            "credentials": "body",
            "form": {"token_type": "jwt"},
        }
        self.configure({"url": f"{self.lms.url}/api/certificates/v1/purge_references/", "auth": auth}, **more)

    def configure(self, blank: dict[str, Any], **more: Any) -> None:
        """The site's file."""
        certificates = {"listing": str(self.listing), "files": {"directory": str(self.store)}, "blank": blank}
        self.desk.write_site(certificates={**certificates, **more})

    @property
    def listing(self) -> Path:
        """The operator's export."""
        return self.desk.folder / "certificates.csv"

    def export(self) -> None:
        """Export the listing as the database is now."""
        self.listing.write_text(self.lms.certificate_listing())

    def asked_to_blank(self) -> list[list[int]]:
        """Which ids each call of the endpoint has brought."""
        return [request.json["certificate_ids"] for request in self.lms.requests(route=ROUTE)]

    async def purge(self, *arguments: str) -> Ended:
        """Purge by the listing that was exported last. What is told never holds where a file is."""
        ended = await self.desk.retire(PURGE, *arguments)
        self.assert_untold(ended.stdout + ended.stderr)
        return ended

    def assert_untold(self, text: str) -> None:
        """No UUID and no URL of a certificate, nor where its files are, is in what was told."""
        for certificate in read_listing(self.listing):
            for value in (certificate.download_url, certificate.download_uuid, certificate.verify_uuid):
                assert not value or value not in text
        assert "Ada" not in text


@asynccontextmanager
async def an_archive(folder: Path, *, lms: StandInLms) -> AsyncIterator[Archive]:
    """An archive whose site has an endpoint that blanks."""
    async with a_desk(folder, lms=lms) as desk:
        archive = Archive(desk=desk, store=folder / "store")
        archive.store.mkdir()
        archive.blank_by_url()
        yield archive


def results(ended: Ended) -> dict[int, tuple[str, str | None]]:
    """What became of each certificate, by --json."""
    return {each["id"]: (each["result"], each["code"]) for each in ended.facts["certificates"]}


class Forgetting:
    """Blanks what it is told, and remembers it."""

    def __init__(
        self, *, failing: tuple[int, ...] = (), code: str = "command_exit_1", is_general: bool = False
    ) -> None:
        self.runs: list[list[int]] = []
        self._failing = set(failing)
        self._code = code
        self._is_general = is_general

    async def blank(self, ids: Any) -> Blanked:
        """As a command: all of them or, where one fails, an exit code."""
        self.runs.append(list(ids))
        if self._failing & set(ids):
            return Blanked(code=self._code, is_general=self._is_general)
        return Blanked(done=frozenset(ids))

    async def close(self) -> None:
        """Nothing is held."""
