"""No trace of the person is anywhere but at the services: not in Temporal, logs, metrics, the ledger, what commands print.

Each search is first seen to find something: a value put into the same place on purpose, in the same run.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, ListWorkflowExecutionsRequest

from ledger import Keys, Ledger
from ledger.rows import StepAction
from sandbox.lms.settings import Settings
from tests.privacy import hand_overs, learners
from tests.privacy.places import ADMIN, HEIR, KEPT, LEARNER, QUARREL, SECRETS, TITLES, TOLD, Grounds, grounds
from tests.privacy.planted import planted, planting
from tests.privacy.retirements import ENDS, Play
from tests.support.leaks import all_of, content_of, forms_of, traces_of
from tests.support.waiting import eventually

#: All is played once, before the first test.
pytestmark = pytest.mark.timeout(300)

#: Wherever something of a retirement is kept or told, and what was put there on purpose.
PLACES = {
    "histories": ("input", "result", "header", "memo", "summary", "details", "attribute", "signal", "failure"),
    "visibility": ("memo", "attribute", "summary", "details", "heartbeat", "activity", "workflow-id", "queue"),
    "answers of status": ("query",),
    "Temporal's database": (
        "input", "result", "header", "memo", "summary", "details", "attribute", "signal", "failure", "heartbeat",
        "activity", "workflow-id", "queue",
    ),
    "Temporal's log": ("workflow-id",),
    "Temporal's metrics": ("queue",),
    "worker log": ("namespace",),
    "worker metrics": ("namespace",),
    "worker health": ("namespace",),
    "ledger, cases open": ("wal", "deleted"),
    "ledger, at the end": ("wal", "deleted"),
    "commands": ("argument",),
}  # fmt: skip


@dataclass(kw_only=True)
class Evidence:
    """What every place held in the end. `words`: the same without what senders wrote into their own messages."""

    play: Play
    everything: dict[str, bytes] = field(default_factory=dict)
    words_aside: dict[str, bytes] = field(default_factory=dict)
    #: The ledger's files when learners were known to it, and when they were gone and all was written back.
    remembered: bytes = b""
    forgotten: bytes = b""
    #: What the sealed columns hold of somebody, to whoever has the keys.
    unsealed: dict[str, bytes] = field(default_factory=dict)

    def keep(self, place: str, content: bytes, *, words_aside: bytes | None = None) -> None:
        """Add to what a place holds."""
        self.everything[place] = self.everything.get(place, b"") + content
        aside = content if words_aside is None else words_aside
        self.words_aside[place] = self.words_aside.get(place, b"") + aside


@pytest.fixture(scope="module")
async def evidence(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Evidence]:
    """Play everything once, and collect."""
    async with grounds(tmp_path_factory.mktemp("canary")) as place:
        learners.write_site(place.folder, lms=place.lms)
        evidence = Evidence(play=Play(place))
        await _play(place, evidence)
        yield evidence


async def _play(place: Grounds, evidence: Evidence) -> None:
    play = evidence.play
    async with planting(place.address) as plant:
        place.spawn_worker()
        await place.polling()
        await play.act_one()
        await play.commands()
        await _keep_what_is_served(place, evidence)
        await _keep_visibility(place, evidence)
        evidence.keep("answers of status", b"\n".join(play.statuses) + str(await plant.query("ask")).encode())
        learner = await play.learners.until_killed()
        evidence.remembered = content_of(place.ledger_file.parent, "*")
        killed = await play.killed()
        worker = place.spawn_worker("tests.privacy.faulty_worker")
        await place.polling()
        await play.act_two(killed, learner=learner)
        _keep_ledger(place, evidence, "ledger, cases open")
        _keep_database(place, evidence)
        await _keep_what_is_served(place, evidence)
        await place.stop_worker(worker)
    await _plant_in_worker(place, evidence)
    await place.retire("status", planted("argument"))
    await _keep_visibility(place, evidence)
    await _keep_histories(place, evidence)
    _keep_ledger(place, evidence, "ledger, at the end")
    with contextlib.closing(sqlite3.connect(place.ledger_file)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    evidence.forgotten = content_of(place.ledger_file.parent, "*")
    for user in (hand_overs.STUCK, hand_overs.HANDED_OVER, learners.user_of(learners.HELD)):
        evidence.unsealed[user] = await _unsealed(place, user_id=user)
    evidence.keep("worker log", content_of(place.folder, "worker.log"))
    evidence.keep("Temporal's log", content_of(place.folder, "server.log"))
    _keep_database(place, evidence)
    evidence.keep("commands", b"\n".join(place.printed))


async def _keep_what_is_served(place: Grounds, evidence: Evidence) -> None:
    evidence.keep("worker metrics", await place.read(f"http://{place.metrics}/metrics"))
    evidence.keep("worker health", await place.read(f"http://{place.health}/healthz"))
    evidence.keep("Temporal's metrics", await place.read(place.server_metrics))


async def _plant_in_worker(place: Grounds, evidence: Evidence) -> None:
    """What a worker tells of a namespace that isn't there goes the same ways as all it tells."""
    worker = place.spawn_worker(TEMPORAL_NAMESPACE=planted("namespace"))

    async def told() -> None:
        health = await place.read(f"http://{place.health}/healthz")
        assert traces_of([planted("namespace")], health)
        evidence.keep("worker health", health)

    await eventually(told)
    evidence.keep("worker metrics", await place.read(f"http://{place.metrics}/metrics"))
    await place.stop_worker(worker)


async def _keep_visibility(place: Grounds, evidence: Evidence) -> None:
    """What lists and describes answer, with memos, summaries, details, search attributes and calls that are pending."""
    client, service = place.client, place.client.workflow_service
    listed = await service.list_workflow_executions(
        ListWorkflowExecutionsRequest(namespace=client.namespace, page_size=1000)
    )
    evidence.keep("visibility", listed.SerializeToString())
    for run in listed.executions:
        described = await service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=client.namespace,
                execution=WorkflowExecution(workflow_id=run.execution.workflow_id, run_id=run.execution.run_id),
            )
        )
        evidence.keep("visibility", described.SerializeToString())


async def _keep_histories(place: Grounds, evidence: Evidence) -> None:
    async for run in place.client.list_workflows():
        history = await place.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        evidence.keep("histories", all_of(history), words_aside=all_of(history, without_words=True))


def _keep_database(place: Grounds, evidence: Evidence) -> None:
    """The server's file with its write-ahead log. Nothing in it can be told apart from what senders wrote."""
    evidence.keep("Temporal's database", content_of(place.folder / "temporal", "*"), words_aside=b"")


def _keep_ledger(place: Grounds, evidence: Evidence, name: str) -> None:
    """The ledger's files as they are; beside them a copy, in which a row is written and another one deleted."""
    ledger = place.folder / "ledger"
    copy = place.folder / f"copy for {name}"
    copy.mkdir()
    for path in ledger.iterdir():
        evidence.keep(name, path.read_bytes())
        (copy / path.name).write_bytes(path.read_bytes())
    with contextlib.closing(sqlite3.connect(copy / "ledger.db", isolation_level=None)) as database:
        database.execute("pragma secure_delete = off")
        database.execute("insert into meta values ('deleted', ?)", (planted("deleted"),))
        database.execute("delete from meta where name = 'deleted'")
        database.execute("pragma wal_checkpoint(truncate)")
        database.execute("insert into meta values ('wal', ?)", (planted("wal"),))
        evidence.keep(name, content_of(copy, "*"))


async def _unsealed(place: Grounds, *, user_id: str) -> bytes:
    ledger = Ledger(url=f"sqlite:///{place.ledger_file}", keys=Keys.load(place.folder / "keys.json"))
    try:
        case = await ledger.find(user_id=user_id, tenant=None)
        assert case is not None
        start = await ledger.begin_step(retirement_id=case.retirement_id, step="", action=StepAction.DO)
        assets = [row.asset.as_values() for row in await ledger.assets(case.retirement_id)]
    finally:
        ledger.close()
    return f"{start.values or ''}{assets or ''}".encode()


async def test_every_retirement_ended_as_meant(evidence: Evidence) -> None:
    assert evidence.play.ended == ENDS


def test_the_person_was_there_to_be_leaked(evidence: Evidence) -> None:
    """The mails say the name and the careless services and the mistakes said it all."""
    place = evidence.play.grounds
    mails = [mail for mail in place.mailbox.deliveries if KEPT.domain in mail.recipients[0]]
    assert len(mails) > 12
    told = "".join(mail.text for mail in place.mailbox.deliveries if ADMIN.domain in mail.recipients[0])
    assert all(words in told for words in (*TITLES, HEIR.name))
    assert any(ADMIN.domain in address for address in place.mailbox.refused)
    languages = {mail.message["Content-Language"] for mail in mails if KEPT.name in mail.text}
    assert languages == {"ar", "de", "en"}
    assert len(place.mailbox.refused) >= 2
    log = evidence.everything["worker log"]
    assert b"Careless" in log
    for mistake in (b"careless_store", b"careless_choose", b'"step": "documents", "problem": "RuntimeError"'):
        assert mistake in log
    services = place.sandbox
    for service in (services.accounts, services.documents, services.forum, services.newsletter):
        faults = service.faults()
        assert faults and all(fault.hits for fault in faults), service.url


@pytest.mark.parametrize(("place", "put"), [(place, put) for place, all in PLACES.items() for put in all])
def test_what_was_planted_is_found(evidence: Evidence, place: str, put: str) -> None:
    assert traces_of([planted(put)], evidence.everything[place])


@pytest.mark.parametrize("place", PLACES)
def test_nothing_the_services_keep_is_found(evidence: Evidence, place: str) -> None:
    assert evidence.everything[place]
    # Whoever lists what somebody owns is told its ids: by these it can be asked for.
    told = ("asset ids",) if place == "commands" else ()
    secrets = [fragment for of, fragments in SECRETS.items() if of not in told for fragment in fragments]
    assert traces_of(secrets, evidence.everything[place]) == set()
    for of in told:
        assert traces_of(SECRETS[of], evidence.everything[place])


@pytest.mark.parametrize("place", PLACES)
def test_nothing_written_into_messages_goes_any_further(evidence: Evidence, place: str) -> None:
    if place == "Temporal's database":
        assert traces_of(TOLD.fragments, evidence.everything[place]), "the messages themselves are kept there"
    assert traces_of(TOLD.fragments, evidence.words_aside[place]) == set()


def test_what_is_owned_and_by_whom_is_sealed_until_it_is_shredded(evidence: Evidence) -> None:
    held, gone = (evidence.unsealed[user] for user in (hand_overs.STUCK, hand_overs.HANDED_OVER))
    people = (*KEPT.name.split(), KEPT.domain, *HEIR.name.split(), HEIR.domain, ADMIN.domain)
    known = {*people, *SECRETS["titles"], *SECRETS["asset ids"]}
    assert {trace.partition(":")[0] for trace in traces_of(known, held)} == known
    assert gone == b""


def test_the_learners_were_there_to_be_leaked(evidence: Evidence) -> None:
    """The LMS and its neighbours were asked about them, and said all that they know when they failed."""
    told = evidence.play.learners
    known = (*learners.ASKED_ABOUT, Settings().client_secret)
    assert {trace.partition(":")[0] for trace in traces_of(known, told.said().encode())} == set(known)
    assert all(fault.hits for fault in told.lms.faults())
    notes = [request.json["response"] for request in told.lms.requests() if request.new_state == "ERRORED"]
    assert any(QUARREL in note and "[learner]" in note for note in notes)
    assert traces_of(LEARNER.fragments, "".join(notes).encode()) == set()


@pytest.mark.parametrize("place", PLACES)
def test_40_no_hash_and_no_token_of_a_learner_is_found(evidence: Evidence, place: str) -> None:
    assert traces_of(evidence.play.learners.secrets(), evidence.everything[place]) == set()


def test_40_what_was_sealed_of_learners_is_gone_from_the_file(evidence: Evidence) -> None:
    """Byte for byte, also from pages that nothing points to any more; of one who is still at work it is there to be used."""
    sealed = evidence.play.learners.sealed
    assert len(sealed) > 3 and all(blob in evidence.remembered for blob in sealed)
    assert not any(blob in evidence.forgotten for blob in sealed)
    held = evidence.unsealed[learners.user_of(learners.HELD)]
    assert all(known.encode() in held for known in learners.KNOWN)


def test_the_words_of_senders_are_in_their_messages(evidence: Evidence) -> None:
    """What is left out above is what they wrote."""
    found = traces_of(TOLD.fragments, evidence.everything["histories"])
    assert {trace.partition(":")[0] for trace in found} == set(TOLD.fragments)


@pytest.mark.parametrize("form", forms_of("x"))
@pytest.mark.parametrize("fragment", [*KEPT.fragments, *SECRETS["titles"], "Zo\u00eb <zoe+a@b.example>"])
def test_each_form_is_found(fragment: str, form: str) -> None:
    needle = forms_of(fragment)[form]
    around = b"\x00\x17Zm9v" + needle + b"YmFy\xff"
    assert any(trace.startswith(f"{fragment}: ") for trace in traces_of([fragment], around))
    assert traces_of([fragment], around.replace(needle, needle[:-2])) == set()
