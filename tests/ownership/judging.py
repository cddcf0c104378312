"""What must hold after a graph, read from the services' own logs and the ledger."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from ledger.ledger import Ledger
from ledger.rows import AssetRow
from sandbox.client import Effect
from sandbox.launch import Sandbox
from tests.ownership.interleaving import Exchange
from tests.ownership.retirees import TRANSFER, Ended, Retiree, Span
from tests.ownership.worlds import World
from workflows.names import AssetResult, Outcome, Reason


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the services say in the end: whose each document is, what was moved, whose account is gone since when."""

    owners: Mapping[str, str]
    moves: Mapping[str, Sequence[Effect]]
    gone: Mapping[str, float]

    @classmethod
    def at(cls, sandbox: Sandbox) -> "Found":
        """Ask them."""
        moves: dict[str, list[Effect]] = defaultdict(list)
        for effect in sandbox.documents.effects():
            if effect.effect == "transfer":
                moves[effect.asset_id or ""].append(effect)
        gone = {effect.user_id: effect.monotonic for effect in sandbox.accounts.effects() if effect.effect == "erase"}
        return cls(
            owners={document.id: document.owner for document in sandbox.documents.all_documents()},
            moves=moves,
            gone=gone,
        )


@dataclass(frozen=True, kw_only=True)
class Write:
    """A wish to hand a document over, as it was sent. `attempt`: when the attempt began that sent it."""

    to: str
    sent: float
    attempt: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """A document came to somebody: by a retirement's move, or by other ways."""

    at: float
    to: str
    by: Effect | None = None
    write: Write | None = None

    @property
    def case(self) -> str | None:
        """Which retirement has moved it."""
        return None if self.by is None else (self.by.idempotency_key or "").partition(":")[0]


@dataclass(kw_only=True)
class Judge:
    """Judges one graph that has come to its end.

    `assets`: those of each case, as the ledger lists them now; a case whose vault is gone is left out.
    `exchanges`: all that was sent; without them nobody can say for whom a document was meant, and when that was decided.
    """

    world: World
    lives: Sequence[Retiree]
    found: Found
    assets: Mapping[str, Sequence[AssetRow]]
    exchanges: Sequence[Exchange] | None = None
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writes: dict[str, list[Write]] = defaultdict(list)
        self._listings: dict[str, list[float]] = defaultdict(list)
        for exchange in self.exchanges or ():
            self._read(exchange)
        self._spans = {life.user_id: life.spans for life in self.lives}
        self._changes = {document: self._changes_of(document) for document in self.world.born}

    def judge(self) -> list[str]:
        """Everything that is wrong."""
        for document in self.world.born:
            self._judge_document(document)
        for life in self.lives:
            for end in life.ends:
                self._judge_end(life, end)
            self._judge_passages(life)
            self._judge_liveness(life)
        return self.wrong

    # --- documents ---------------------------------------------------------------------------------------------------

    def _judge_document(self, document: str) -> None:
        """It has an owner who was not retired; and each move of it was its owner's, who made no other."""
        owner, _ = self.world.born[document]
        movers: set[str] = set()
        for change in self._changes[document]:
            if change.by is not None:
                if change.by.user_id != owner:
                    self._is_wrong(f"{document} was {owner}'s, and was moved away from {change.by.user_id}")
                if owner in movers:
                    self._is_wrong(f"{document} was moved away from {owner} twice")
                movers.add(owner)
                self._judge_move(document, change, mover=owner)
            owner = change.to
        last = self.found.owners.get(document)
        if last != owner:
            self._is_wrong(f"{document} is {last}'s, and by all that was done it should be {owner}'s")
        if last is None or last in self.found.gone:
            self._is_wrong(f"{document} is orphaned: it is {last}'s, who is gone")

    def _judge_move(self, document: str, change: Change, *, mover: str) -> None:
        """It was their own retirement that moved it, to somebody who might have it when the attempt began."""
        write = change.write
        if all(span.retirement_id != change.case for span in self._spans_of(mover)):
            self._is_wrong(f"{document} was {mover}'s, and was moved by somebody else's retirement")
        if change.to == mover:
            self._is_wrong(f"{document} was moved from {mover} to {mover}")
        if self.exchanges is None:
            return
        if write is None:
            return self._is_wrong(f"{document} was moved by nobody's request")
        if not self._was_suitable(change.to, like=mover, since=write.attempt, until=change.at):
            self._is_wrong(f"{document} went to {change.to}, who was not suitable when the hand-over began")
        if any(span.opened < write.attempt and span.is_open_at(change.at) for span in self._spans_of(change.to)):
            self._is_wrong(f"{document} went to {change.to}, who was being retired when the hand-over began")

    def _was_suitable(self, user: str, *, like: str, since: float, until: float) -> bool:
        """Had they a role for it, at any time of these?"""
        known = self.world.roles.get(user, [])
        had = [roles for at, roles in known if at <= since][-1:]
        had += [roles for at, roles in known if since < at <= until]
        is_colleague = self.world.person(user).org == self.world.person(like).org
        was_there = self.found.gone.get(user, until) > since
        return is_colleague and was_there and any({"author", "admin"} & set(roles) for roles in had)

    # --- ends --------------------------------------------------------------------------------------------------------

    def _judge_end(self, life: Retiree, end: Ended) -> None:
        """Retired with everything handed over; or as before; or stopped before anything was erased, with the right list."""
        who, gone = life.user_id, self.found.gone.get(life.user_id)
        moved = {
            document: change
            for document, changes in self._changes.items()
            for change in changes
            if change.case == end.retirement_id
        }
        listed = {row.asset.id: row for row in self.assets.get(end.retirement_id, ())}
        if "internal_error" in (end.code or ""):
            self._is_wrong(f"{who} met a mistake of ours: {end.told()}")
        match end.outcome:
            case Outcome.COMPLETE:
                if gone is None:
                    self._is_wrong(f"{who} is COMPLETE, and the account is there")
                elif any(change.at > gone for change in moved.values()):
                    self._is_wrong(f"{who} was erased before everything was handed over")
                for document in moved if end.retirement_id in self.assets else ():
                    self._judge_record(life, document, listed.get(document))
            case Outcome.ABORTED:
                if moved:
                    self._is_wrong(f"{who} is ABORTED, and {', '.join(sorted(moved))} were moved")
                if gone is not None and gone < end.at:
                    self._is_wrong(f"{who} is ABORTED, and the account is gone")
            case Outcome.ERRORED:
                if end.failed == TRANSFER and gone is not None and gone < end.at:
                    self._is_wrong(f"{who} stopped before everything was handed over, and was erased")
        # A later run of the same case has made another list of it.
        is_last = not any(other.retirement_id == end.retirement_id and other.at > end.at for other in life.ends)
        if end.retirement_id not in self.assets:
            return
        if is_last and (end.reason is Reason.NO_SUCCESSOR or end.failed == TRANSFER):
            self._judge_list(life, end, listed)

    def _judge_record(self, life: Retiree, document: str, row: AssetRow | None) -> None:
        """What was handed over is recorded so. Where an answer was lost, whose it is by then may be all that can be told."""
        known = {AssetResult.MOVED}
        if len(life.handing_over) > 1:
            known |= {AssetResult.ALREADY_OWNED, AssetResult.REFUSED}
        if row is None or row.result not in known:
            self._is_wrong(f"{life.user_id} handed {document} over, and the record says {row and row.result}")

    def _judge_list(self, life: Retiree, end: Ended, listed: Mapping[str, AssetRow]) -> None:
        """What is left has all that they own and owned when they were asked about last, and nothing that was never theirs."""
        opened = next(span.opened for span in life.spans if span.retirement_id == end.retirement_id)
        asked = max((at for at in self._listings[life.user_id] if at <= end.at), default=opened)
        left = {id for id, row in listed.items() if row.result is None or not row.result.is_settled}
        for document in self.world.born:
            was_theirs = self._owner_at(document, asked) == self._owner_at(document, end.at) == life.user_id
            if was_theirs and document not in left:
                self._is_wrong(f"{life.user_id} owns {document}, which the list of {end.outcome} leaves out")
        for document in listed:
            if life.user_id not in self._owners_of(document):
                self._is_wrong(f"{life.user_id} never owned {document}, which is listed")

    # --- the point of no return --------------------------------------------------------------------------------------

    def _judge_passages(self, life: Retiree) -> None:
        """Nobody passes it to hand over to somebody who is going, and nobody whom others are about to hand over to."""
        for passage in life.passages:
            for successor in passage.successors:
                is_going = any(
                    span.opened < passage.began and span.is_open_at(passage.ended) for span in self._spans_of(successor)
                )
                if is_going or self.found.gone.get(successor, passage.began) < passage.began:
                    self._is_wrong(
                        f"{life.user_id} passed the point, and {successor}, who takes over, was going or gone"
                    )
            for other in self.lives:
                for earlier in other.passages:
                    is_awaited = life.user_id in earlier.successors and earlier.ended < passage.began
                    if is_awaited and (earlier.until is None or passage.ended < earlier.until):
                        self._is_wrong(
                            f"{life.user_id} passed the point while {other.user_id} was to hand over to them"
                        )

    # --- what should have come to a good end -------------------------------------------------------------------------

    def _judge_liveness(self, life: Retiree) -> None:
        """Whoever has a colleague who can take over, and nothing in the way, is retired; whoever has nobody is not."""
        someone = next(each for each in self.world.graph.people if self.world.id_of(each.name) == life.user_id)
        if not life.ends:
            return self._is_wrong(f"{life.user_id} never came to an end")
        first = life.ends[0]
        if self.world.graph.leaves_nothing_in_the_way_of(someone) and first.outcome is not Outcome.COMPLETE:
            self._is_wrong(f"{life.user_id} should have been COMPLETE, and is {first}")
        if first.outcome is Outcome.COMPLETE and self.world.graph.has_nobody_to_take_over_from(someone):
            self._is_wrong(f"{life.user_id} is COMPLETE, and nobody could take over")

    # --- what was seen -----------------------------------------------------------------------------------------------

    def _read(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.url)
        segments = parts.path.strip("/").split("/")
        if exchange.method == "PUT":
            key = {name.lower(): value for name, value in exchange.headers.items()}["idempotency-key"]
            wish = json.loads(exchange.content or b"{}")
            self._writes[key].append(Write(to=wish["owner"], sent=exchange.sent, attempt=exchange.attempt))
        elif segments == ["documents"] and exchange.status == 200:
            self._listings[parse_qs(parts.query)["owner"][0]].append(exchange.sent)

    def _changes_of(self, document: str) -> list[Change]:
        changes = [Change(at=at, to=to) for at, to in self.world.given.get(document, ())]
        moves = self.found.moves.get(document, ())
        for effect, then in zip(moves, [*moves, None][1:], strict=True):
            if self.exchanges is None:
                # Whoever gives it away next has it.
                to = then.user_id if then is not None else self.found.owners.get(document, "")
                changes.append(Change(at=effect.monotonic, to=to, by=effect))
                continue
            writes = [write for write in self._writes[effect.idempotency_key or ""] if write.sent <= effect.monotonic]
            write = writes[-1] if writes else None
            changes.append(Change(at=effect.monotonic, to=write.to if write else "", by=effect, write=write))
        return sorted(changes, key=lambda change: change.at)

    def _owner_at(self, document: str, at: float) -> str | None:
        owner, born = self.world.born[document]
        known = [owner, *(change.to for change in self._changes[document] if change.at <= at)]
        return known[-1] if born <= at else None

    def _owners_of(self, document: str) -> set[str]:
        if document not in self.world.born:
            return set()
        return {self.world.born[document][0], *(change.to for change in self._changes[document])}

    def _spans_of(self, user: str) -> Iterable[Span]:
        return self._spans.get(user, ())

    def _is_wrong(self, what: str) -> None:
        self.wrong.append(what)


async def assets_of(ledger: Ledger, lives: Iterable[Retiree]) -> dict[str, Sequence[AssetRow]]:
    """The assets of all cases of these lives."""
    cases = {end.retirement_id for life in lives for end in life.ends}
    return {case: await ledger.assets(case) for case in cases}
