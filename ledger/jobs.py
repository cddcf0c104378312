"""Operators' work that must survive a crash: what it has found out and how far it is, sealed until it is finished.

A job is one part of such work that is finished or not: a batch of an archive, an answer that partners hear of, a certificate.
What it must remember about people is encrypted under a key of its own, and both go when it ends; that there was one stays.
Every function works inside the caller's transaction.
"""

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from ledger import schema
from ledger.errors import LedgerConflict
from ledger.keys import Keys
from ledger.sealing import new_data_key, seal, unseal, unwrap
from workflows.names import StepResult

_TABLE = schema.jobs
_FIELD = "job"
_OPEN = _TABLE.c.ended_at.is_(None)
_OF_KIND = (_TABLE.c.site == bindparam("of_site")) & (_TABLE.c.kind == bindparam("of_kind"))
_OPEN_ONES = select(_TABLE).where(_OF_KIND, _OPEN).order_by(_TABLE.c.number)
_ONE = select(_TABLE).where(_TABLE.c.id == bindparam("job_id")).with_for_update()
_LAST_NUMBER = select(func.coalesce(func.max(_TABLE.c.number), 0))
_LAST_BEGUN = select(func.max(_TABLE.c.created_at)).where(_OF_KIND)
#: What a step can end with that has taken effect.
_DONE = tuple(
    result.value for result in (StepResult.ERASED, StepResult.DONE, StepResult.SCRUBBED, StepResult.UNVERIFIED)
)


class JobKind(StrEnum):
    """What a job is a part of."""

    ARCHIVE = "archive"
    PARTNER_REPORT = "partner_report"
    CERTIFICATES = "certificates"
    USERNAMES = "usernames"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is not finished."""

    id: str
    #: What it is about, among the open ones of its site and kind: a batch's number, a certificate's id. Nothing personal.
    key: str
    created_at: datetime
    values: dict[str, Any] = field(repr=False)


def open_jobs(
    connection: Connection,
    *,
    keys: Keys,
    site: str,
    kind: JobKind,
    values: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> list[Job]:
    """Open jobs by their keys: all of them, or none.

    Raises:
        LedgerConflict: one of these keys has an open job already: somebody else is at the same work.
    """
    taken = {row["key"] for row in _rows(connection, site=site, kind=kind)}
    if taken & set(values):
        raise LedgerConflict("a job of this key is open already: somebody else is at the same work")
    number = connection.execute(_LAST_NUMBER).scalar_one()
    opened = []
    for key, known in values.items():
        number += 1
        job = Job(id=_new_id(), key=key, created_at=now, values=dict(known))
        key_id, wrapped = new_data_key(keys=keys, retirement_id=job.id)
        sealed = _seal(keys, job.id, key_id=key_id, wrapped=wrapped, values=known)
        row = {"id": job.id, "number": number, "site": site, "kind": kind.value, "key": key, "created_at": now}
        connection.execute(insert(_TABLE), row | {"key_id": key_id, "wrapped_key": wrapped, "sealed": sealed})
        opened.append(job)
    return opened


def read(connection: Connection, *, keys: Keys, site: str, kind: JobKind) -> list[Job]:
    """The open jobs of a site and kind, oldest first.

    Raises:
        VaultLocked: the key of the ring that one was sealed under is unknown here.
    """
    return [_job(keys, row) for row in _rows(connection, site=site, kind=kind)]


def keep(connection: Connection, *, keys: Keys, id: str, values: Mapping[str, Any]) -> None:
    """Keep what a job knows now, in place of what was kept before.

    Raises:
        LedgerConflict: it is finished, or was never opened.
    """
    row = connection.execute(_ONE, {"job_id": id}).mappings().one_or_none()
    if row is None or row["ended_at"] is not None:
        raise LedgerConflict("the job is finished already, by somebody else")
    sealed = _seal(keys, id, key_id=row["key_id"], wrapped=row["wrapped_key"], values=values)
    connection.execute(update(_TABLE).where(_TABLE.c.id == id).values(sealed=sealed))


def end(connection: Connection, *, id: str, now: datetime) -> None:
    """A job is finished: what it knew goes, with its key. One that is finished already stays as it is."""
    connection.execute(
        update(_TABLE).where(_TABLE.c.id == id, _OPEN).values(ended_at=now, key_id=None, wrapped_key=None, sealed=None)
    )


def drop(connection: Connection, *, id: str) -> None:
    """A job came to nothing, as if it had never been opened."""
    connection.execute(delete(_TABLE).where(_TABLE.c.id == id))


def last_begun(connection: Connection, *, site: str, kind: JobKind) -> datetime | None:
    """When the newest job of a site and kind was opened, finished or not; None where there was none."""
    begun: datetime | None = connection.execute(
        _LAST_BEGUN, {"of_site": site, "of_kind": kind.value}
    ).scalar_one_or_none()
    return begun


def finished(connection: Connection, *, site: str, kind: JobKind, keys: Collection[str]) -> set[str]:
    """Which of these keys have a job that is finished."""
    ended = _OF_KIND & _TABLE.c.ended_at.is_not(None) & _TABLE.c.key.in_(keys)
    statement = select(_TABLE.c.key).where(ended).distinct()
    return set(connection.execute(statement, {"of_site": site, "of_kind": kind.value}).scalars())


def done_since(connection: Connection, *, plan: str, step: str, since: datetime | None) -> dict[str, str]:
    """Whose step of a plan was done since then: retirement ids, by the ledger's name for the subject."""
    cases, steps = schema.cases, schema.steps
    statement = (
        select(cases.c.subject_key, cases.c.retirement_id)
        .join(steps, steps.c.retirement_id == cases.c.retirement_id)
        .where(cases.c.plan == plan, steps.c.step == step, steps.c.action == "do")
        .where(steps.c.result.in_(_DONE))
        .order_by(cases.c.opened_at)
    )
    if since is not None:
        statement = statement.where(steps.c.ended_at >= since)
    return {row.subject_key: row.retirement_id for row in connection.execute(statement)}


def unknown_keys(connection: Connection, *, keys: Keys) -> set[str]:
    """Ids of ring keys that open jobs need and the ring has not got."""
    used = connection.execute(select(_TABLE.c.key_id).where(_TABLE.c.key_id.is_not(None)).distinct()).scalars()
    return set(used) - set(keys.vault)


def _rows(connection: Connection, *, site: str, kind: JobKind) -> Sequence[RowMapping]:
    return connection.execute(_OPEN_ONES, {"of_site": site, "of_kind": kind.value}).mappings().all()


def _job(keys: Keys, row: RowMapping) -> Job:
    data_key = unwrap(keys=keys, retirement_id=row["id"], key_id=row["key_id"], wrapped=row["wrapped_key"])
    values = unseal(data_key=data_key, retirement_id=row["id"], field=_FIELD, sealed=row["sealed"])
    return Job(id=row["id"], key=row["key"], created_at=row["created_at"], values=values)


def _seal(keys: Keys, id: str, *, key_id: str, wrapped: bytes, values: Mapping[str, Any]) -> bytes:
    data_key = unwrap(keys=keys, retirement_id=id, key_id=key_id, wrapped=wrapped)
    return seal(data_key=data_key, retirement_id=id, field=_FIELD, values=dict(values))


def _new_id() -> str:
    return "j-" + base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()
