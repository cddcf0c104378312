"""Certificates that are PDF files: what the LMS keeps of them, the operator's listing, and blanking the links."""

import csv
import io
import sqlite3
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from sandbox.lms.calls import Answer, Call, Refused, Route
from sandbox.lms.settings import Settings
from sandbox.lms.states import ABORTED, PENDING
from sandbox.lms.store import Store

_PATH = "/api/certificates/v1/purge_references/"
_COLUMNS = ("certificate_id", "user_id", "retired", "download_url", "download_uuid", "verify_uuid")
_LISTED = """
select c.*, c.id as certificate_id, q.user_id is not null and (r.state is null or r.state not in (?, ?)) as retired
from certificates c
left join retirement_requests q on q.user_id = c.user_id left join retirements r on r.user_id = c.user_id
"""


class Certificates:
    """The table of certificates. The files themselves are elsewhere."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def routes(self) -> Iterable[Route]:
        """The endpoint that a site may offer in place of its command."""
        yield Route(name="purge_certificates", service="lms", method="POST", path=_PATH, endpoint=self._purge)

    def add(self, certificate: dict[str, Any]) -> dict[str, Any]:
        """Keep a certificate; what isn't given is made up."""
        download, verify = uuid4().hex, uuid4().hex
        kept = {
            "id": None,
            "status": "downloadable",
            "name": "A Learner",
            "grade": "0.87",
            "download_url": f"https://certificates.example/downloads/{download}/Certificate.pdf",
            "download_uuid": download,
            "verify_uuid": verify,
            **certificate,
        }
        cursor = self._store.database.execute(
            "insert into certificates values (:id, :user_id, :status, :name, :grade, :download_url, :download_uuid,"
            " :verify_uuid)",
            kept,
        )
        return next(row for row in self.rows() if row["id"] == cursor.lastrowid)

    def rows(self) -> list[dict[str, Any]]:
        """Every certificate as it is now; `retired` is 1 or 0 as in the listing."""
        return [dict(row) for row in self._listed()]

    def listing(self) -> str:
        """The CSV that an operator exports from the database."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([row[column] for column in _COLUMNS] for row in self._listed())
        return text.getvalue()

    def blank(self, ids: Iterable[int]) -> tuple[list[int], list[int]]:
        """Blank both links of the certificates of retired learners: which were processed, and which failed."""
        retired = {row["id"]: row for row in self._listed() if row["retired"]}
        processed, failed = [], []
        for number in ids:
            if number not in retired or number in self._settings.failing_certificates:
                failed.append(number)
                continue
            with self._store.change():
                self._store.database.execute(
                    "update certificates set download_url = '', download_uuid = '' where id = ?", (number,)
                )
                self._store.effect("blank", user_id=retired[number]["user_id"], detail=number)
            processed.append(number)
        return processed, failed

    def _purge(self, call: Call) -> Answer:
        ids = call.read({"certificate_ids": list})["certificate_ids"]
        if not ids or not all(isinstance(number, int) and not isinstance(number, bool) for number in ids):
            raise Refused(400, "certificate_ids is a list of numbers")
        processed, failed = self.blank(ids)
        return Answer(status=207 if failed else 200, body={"processed": processed, "failed": failed})

    def _listed(self) -> list[sqlite3.Row]:
        return self._store.database.execute(f"{_LISTED} order by c.id", (PENDING, ABORTED)).fetchall()
