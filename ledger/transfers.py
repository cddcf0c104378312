"""Transfers that stand alone: opened with all that is personal about them, then taken up by a run.

A start message holds only ids. Whom it names, which assets, what is known of an owner who is gone already: all of it is in the
vault before a run begins. If whoever opened it is cut off in between, the same wish again finds the case and goes on with it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert

from ledger import assets, schema, starts, successions
from ledger.cases import cases_of_subject, change_case, existing_case, new_transfer_id, read_case, read_plan, store_plan
from ledger.keys import Keys
from ledger.rows import Asset, Case, CaseKind, CaseOpening, CaseState, People, StoredPlan
from ledger.vault import Vault
from workflows.messages import Start
from workflows.names import Reason

#: The run key of a case that no run has taken up yet.
NOBODY = ""
#: The number of the inventory of what somebody names.
_NAMED = 0


class Obstacle(StrEnum):
    """Why what somebody owns can't be handed over as wished. Nothing was written then."""

    #: Nobody takes over from themselves.
    NAMES_ITSELF = "names_itself"
    #: Another hand-over from this person is under way.
    UNDER_WAY = "under_way"
    #: An earlier one has stopped, and waits to be resumed.
    ERRORED_BEFORE = "errored_before"
    #: Their retirement is past its point of no return, and hands over what they own itself.
    PAST_RETURN = "past_return"
    #: Whoever is to take over is being retired, too.
    RETIRING = "retiring"


@dataclass(frozen=True, kw_only=True)
class TransferWish:
    """What is to be handed over, from whom to whom. `assets` are the ids of what is named; None means everything."""

    user_id: str = field(repr=False)
    successor: str = field(repr=False)
    tenant: str | None
    plan: StoredPlan
    #: The steps that hand over.
    steps: tuple[str, ...]
    assets: tuple[str, ...] | None = field(default=None, repr=False)
    #: What is known of the owner where no lookup knows them any more.
    subject: Mapping[str, Any] = field(default_factory=dict, repr=False)
    requested_by: str | None = None
    reason_code: str | None = None

    def as_text(self) -> str:
        """The same for the same wish, however it is written down."""
        named = None if self.assets is None else sorted(set(self.assets))
        return json.dumps([self.user_id, self.successor, self.plan.name, named, dict(self.subject)], sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class TransferOpening:
    """What became of a wish. With an `obstacle` nothing was written; `case` is then what stands in the way, if anything."""

    case: Case | None
    obstacle: Obstacle | None = None
    #: The same wish was there before.
    is_known: bool = False


def judge(
    *, wish: TransferWish, wish_key: str, transfers: Iterable[Case], retirements: Iterable[Case], is_retiring: bool
) -> TransferOpening:
    """What becomes of a wish, decided from the cases of its owner alone: opened where `case` is None without an obstacle.

    Args:
        wish: What is asked for.
        wish_key: The ledger's name for it.
        transfers: All transfers from this person.
        retirements: All retirements of this person.
        is_retiring: Is whoever is named being retired?
    """
    if wish.successor == wish.user_id:
        return TransferOpening(case=None, obstacle=Obstacle.NAMES_ITSELF)
    going_on = next((case for case in transfers if case.state is not CaseState.CLOSED), None)
    if going_on is not None and going_on.is_errored:
        return TransferOpening(case=going_on, obstacle=Obstacle.ERRORED_BEFORE)
    if going_on is not None:
        is_known = going_on.request_id == wish_key
        return TransferOpening(case=going_on, obstacle=None if is_known else Obstacle.UNDER_WAY, is_known=is_known)
    past = next((case for case in retirements if case.state is CaseState.PAST_RETURN), None)
    if past is not None:
        return TransferOpening(case=past, obstacle=Obstacle.PAST_RETURN)
    return TransferOpening(case=None, obstacle=Obstacle.RETIRING if is_retiring else None)


def look_at(connection: Connection, *, keys: Keys, wish: TransferWish, lock: bool = False) -> TransferOpening:
    """What would become of a wish; writes nothing."""
    owner = keys.subject_key(user_id=wish.user_id, tenant=wish.tenant)
    successor = keys.subject_key(user_id=wish.successor, tenant=wish.tenant)
    return judge(
        wish=wish,
        wish_key=keys.wish_key(wish=wish.as_text(), tenant=wish.tenant),
        transfers=cases_of_subject(connection, subject_key=owner, kind=CaseKind.TRANSFER, lock=lock),
        retirements=cases_of_subject(connection, subject_key=owner, lock=lock),
        is_retiring=successions.is_retiring(connection, subject_key=successor),
    )


def open_transfer(
    connection: Connection,
    vault: Vault,
    *,
    keys: Keys,
    wish: TransferWish,
    workflow_id: str,
    holders: Sequence[str],
    now: datetime,
) -> TransferOpening:
    """Open the case of a transfer with all that its run needs, or find the one that the same wish has opened before."""
    seen = look_at(connection, keys=keys, wish=wish, lock=True)
    if seen.obstacle is not None or seen.case is not None:
        return seen
    transfer_id = new_transfer_id()
    store_plan(connection, plan=wish.plan, now=now)
    connection.execute(
        insert(schema.cases),
        {
            "retirement_id": transfer_id,
            "kind": CaseKind.TRANSFER.value,
            "subject_key": keys.subject_key(user_id=wish.user_id, tenant=wish.tenant),
            "workflow_id": workflow_id,
            "state": CaseState.OPEN.value,
            "plan": wish.plan.name,
            "plan_digest": wish.plan.digest,
            "run_key": NOBODY,
            "request_id": keys.wish_key(wish=wish.as_text(), tenant=wish.tenant),
            "requested_by": wish.requested_by,
            "reason_code": wish.reason_code,
            "tenant": wish.tenant,
            # Nobody's mind may change, and no law sets a date.
            "requested_at": now,
            "opened_at": now,
            "cool_off_ends_at": now,
            "due_at": now,
            "since": now,
            "hosts": {},
        },
    )
    vault.make(connection, retirement_id=transfer_id, holders=holders)
    people = People(named=wish.successor, only_named=wish.assets is not None)
    vault.keep_people(connection, retirement_id=transfer_id, people=people)
    vault.keep_subject(connection, retirement_id=transfer_id, values=wish.subject)
    if wish.assets is not None:
        named = [Asset(id=id) for id in dict.fromkeys(wish.assets)]
        for step in wish.steps:
            assets.note(
                connection, vault, keys=keys, retirement_id=transfer_id, step=step, inventory=_NAMED, assets=named
            )
    return TransferOpening(case=existing_case(connection, retirement_id=transfer_id))


def take_up(
    connection: Connection,
    vault: Vault,
    *,
    start: Start,
    subject_key: str,
    workflow_id: str,
    run_key: str,
    hosts: Mapping[str, str],
    now: datetime,
) -> CaseOpening:
    """Give a run the case that its start names: one that nobody has taken up yet, its own once more, or one to resume.

    `hosts`: where whoever takes it up sees the services of its plan.
    """
    case = read_case(connection, retirement_id=start.resume or "", lock=True)
    plan = None if case is None else read_plan(connection, digest=case.plan_digest)
    if case is None or plan is None or case.kind is not CaseKind.TRANSFER or case.subject_key != subject_key:
        return CaseOpening(case=case, refused=Reason.NOT_RESUMABLE, resumed=False, steps=())
    if case.run_key == NOBODY and case.is_live:
        changes = {"run_key": run_key, "hosts": dict(hosts)}
        change_case(connection, retirement_id=case.retirement_id, changes=changes)
        case = existing_case(connection, retirement_id=case.retirement_id)
        return CaseOpening(case=case, refused=None, resumed=False, steps=())
    request = starts.Request(
        start=start,
        subject_key=subject_key,
        workflow_id=workflow_id,
        run_key=run_key,
        now=now,
        plan=plan,
        hosts=case.hosts,
        cool_off_ends_at=case.cool_off_ends_at,
        due_at=case.due_at,
        holders=(),
        kind=CaseKind.TRANSFER,
    )
    return starts.open_case(connection, vault, request=request)
