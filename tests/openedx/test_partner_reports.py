"""Partner reports: who is told of whom, how a file reads, and that nobody is lost between the LMS and the partners."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ledger import StoredPlan
from ledger.jobs import JobKind
from openedx.report_files import HEADINGS, Share, content_of, name_of, shares_of
from tests.openedx.office import PLAN, Office
from tests.openedx.pipelines import SITE
from tests.support.ledgers import a_case
from tests.support.s3 import Bucket
from tests.support.waiting import eventually
from workflows.messages import StepOutcome
from workflows.names import StepResult

HEADER = "user_id,original_username,original_email,original_name,deletion_completed\r\n"
PARTNERS = {"edX": ["edX Inc"], "MITx": ["MIT"], "MITpro": ["MIT"]}


def today() -> str:
    """As files are named."""
    return datetime.now(UTC).date().isoformat()


def key(partner: str, *, suffix: str = "") -> str:
    """Where a partner's report of today lies."""
    return f"{partner}/user_retirement_edx_{partner}_{today()}{suffix}.csv"


def names(content: bytes) -> list[str]:
    """The usernames in a file."""
    return [row["original_username"] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]


def to_folder(office: Office, partners: dict[str, list[str]] = PARTNERS, **more: Any) -> None:
    """Have the site report into the office's folder."""
    to = {"directory": str(office.place)}
    office.write_site(reports={"platform": "edx", "partners": partners, "to": to, **more})


def taken_off(office: Office) -> list[Any]:
    """What the LMS was told to take off its queue, and did."""
    return [request.json for request in office.lms.requests(route="partner_cleanup") if request.status == 204]


async def stored(office: Office) -> int:
    """How many answers are not finished."""
    return len(await office.ledger.jobs(site=SITE, kind=JobKind.PARTNER_REPORT))


def a_learner(**changes: Any) -> dict[str, Any]:
    """A row of the LMS' answer."""
    return {
        "user_id": 7,
        "original_username": "ann",
        "original_email": "ann@example.org",
        "original_name": "Ann",
        "orgs": ["edX"],
        "created": "2026-01-18T20:35:52Z",
        **changes,
    }


def test_a_file_has_its_columns_in_order_quotes_where_needed_and_crlf() -> None:
    learners = [
        a_learner(original_name='Ann "A", née O\'B'),
        a_learner(original_name=None, surplus="x", original_email=""),
        {"original_username": "zoë"},
    ]
    assert content_of(learners, headings=HEADINGS).decode() == (
        HEADER
        + '7,ann,ann@example.org,"Ann ""A"", née O\'B",2026-01-18T20:35:52Z\r\n'
        + "7,ann,,,2026-01-18T20:35:52Z\r\n"
        + ",zoë,,,\r\n"
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_a_name_that_a_spreadsheet_would_run_gets_an_apostrophe(name: str) -> None:
    [_, row] = csv.reader(
        io.StringIO(content_of([a_learner(original_name=name)], headings=HEADINGS).decode(), newline="")
    )
    assert row[3] == f"'{name}"


def test_usernames_and_harmless_names_stay_as_they_are() -> None:
    learner = a_learner(original_username="-ann-", original_name="Ann-Marie =)")
    assert b"7,-ann-,ann@example.org,Ann-Marie =)," in content_of([learner], headings=HEADINGS)


def test_a_learner_is_in_a_partners_file_once_even_through_two_organisations() -> None:
    shares, without = shares_of(a_learner(orgs=["MITx", "MITpro", "edX", "Nowhere"]), partners=PARTNERS)
    assert [share.partner for share in shares] == ["MIT", "edX Inc"]
    assert without == ("Nowhere",)
    assert shares_of(a_learner(orgs=[]), partners=PARTNERS) == ((), ())
    assert shares_of(a_learner(orgs=["edX"]), partners={"edX": []}) == ((), ())


def test_columns_of_an_organisation_make_a_file_of_their_own() -> None:
    config = [{"org": "MITx", "field_headings": ["user_id", "original_name"]}, {"org": "MITpro", "field_headings": []}]
    shares, _ = shares_of(a_learner(orgs=["MITx", "MITpro"], orgs_config=config), partners=PARTNERS)
    assert shares == (
        Share(partner="MIT", headings=("user_id", "original_name")),
        Share(partner="MIT", headings=HEADINGS),
    )


def test_a_name_tells_platform_partner_and_day() -> None:
    day = date(2026, 3, 4)
    assert name_of(platform="edx", partner="MIT", day=day) == "user_retirement_edx_MIT_2026-03-04.csv"
    assert name_of(platform="edx", partner="MIT", day=day, number=2) == "user_retirement_edx_MIT_2026-03-04_2.csv"


async def test_33_three_learners_two_partners_one_organisation_shared(office: Office) -> None:
    partners = {"edX": ["edX Inc"], "MITx": ["MIT"], "Both": ["edX Inc", "MIT"]}
    rows = [
        office.queue_for_partners("ann", orgs=["edX"]),
        office.queue_for_partners("bob", orgs=["MITx"], name="=1+1"),
        office.queue_for_partners("eve", orgs=["Both", "MITx"]),
    ]
    to_folder(office, partners)
    ended = await office.retire("partner-report", "--json")
    assert ended.code == 0, ended.stderr
    assert (ended.facts["new"], ended.facts["files"], ended.facts["finished"]) == (3, 2, 3)
    files = {name: content.decode() for name, content in office.files().items()}
    assert list(files) == [key("MIT"), key("edX Inc")]
    assert all(content.startswith(HEADER) for content in files.values())
    assert names(files[key("MIT")].encode()) == ["bob", "eve"]
    assert names(files[key("edX Inc")].encode()) == ["ann", "eve"]
    assert f"{rows[1]['user']['id']},bob,bob@learner.example,'=1+1,2" in files[key("MIT")]
    assert taken_off(office) == [[{"original_username": name} for name in ("ann", "bob", "eve")]]
    [report] = office.lms.requests(route="partner_report")
    assert report.body == ""
    assert office.calls() == ["partner_report", "partner_cleanup"] and await stored(office) == 0


async def test_33_a_second_report_of_the_day_does_not_replace_the_first(office: Office, bucket: Bucket) -> None:
    to = bucket.place(prefix="reports/").model_dump(mode="json")
    office.write_site(reports={"platform": "edx", "partners": PARTNERS, "to": to})
    for username in ("ann", "bob"):
        office.queue_for_partners(username, orgs=["edX"])
        assert (await office.retire("partner-report")).code == 0
    files = {name: names(bucket.content(name)) for name in bucket.keys()}
    assert files == {f"reports/{key('edX Inc')}": ["ann"], f"reports/{key('edX Inc', suffix='_2')}": ["bob"]}


async def test_33_two_headings_of_a_partner_give_two_files(office: Office) -> None:
    office.lms.set(orgs_config={"MITpro": ["original_username", "deletion_completed", "lms"]})
    row = office.queue_for_partners("ann", orgs=["MITx", "MITpro"])
    to_folder(office)
    assert (await office.retire("partner-report")).code == 0
    files = office.files()
    assert list(files) == [key("MIT"), key("MIT", suffix="_2")]
    assert files[key("MIT")].startswith(HEADER.encode() + str(row["user"]["id"]).encode() + b",ann,")
    head, line, end = files[key("MIT", suffix="_2")].split(b"\r\n")
    assert head == b"original_username,deletion_completed,lms" and end == b""
    assert line.startswith(b"ann,20") and line.endswith(b",")


async def test_33_nobody_waiting_makes_no_file_and_takes_nobody_off(office: Office) -> None:
    to_folder(office)
    ended = await office.retire("partner-report")
    assert (ended.code, ended.stdout) == (0, "0 new learners\n0 files delivered, 0 learners finished\n")
    assert office.files() == {} and office.calls() == ["partner_report"] and await stored(office) == 0


async def test_34_an_unmapped_organisation_holds_back_its_learners_alone(office: Office) -> None:
    for username, orgs in (("ann", ["edX"]), ("bob", ["Nowhere"]), ("eve", ["edX", "Nowhere"])):
        office.queue_for_partners(username, orgs=orgs)
    to_folder(office)
    first = await office.retire("partner-report", "--json")
    assert first.code == 11
    assert (first.facts["finished"], first.facts["held_back"]) == (1, {"Nowhere": 2})
    assert "The organisation Nowhere has no partner: 2 learners wait for it." in first.stderr
    assert taken_off(office) == [[{"original_username": "ann"}]]
    assert {name: names(content) for name, content in office.files().items()} == {key("edX Inc"): ["ann", "eve"]}
    for file in office.folder.glob("ledger.db*"):
        assert b"bob" not in file.read_bytes()

    to_folder(office, {**PARTNERS, "Nowhere": ["Somebody", "edX Inc"]})
    second = await office.retire("partner-report", "--json")
    assert (second.code, second.facts["asked"], second.facts["finished"]) == (0, False, 2)
    assert {name: names(content) for name, content in office.files().items()} == {
        key("Somebody"): ["bob", "eve"],
        key("edX Inc"): ["ann", "eve"],
        key("edX Inc", suffix="_2"): ["bob"],
    }
    assert len(office.lms.requests(route="partner_report")) == 1
    assert taken_off(office)[1:] == [[{"original_username": "bob"}, {"original_username": "eve"}]]
    assert await stored(office) == 0


async def test_34_who_waits_for_a_partner_keeps_no_new_learner_waiting(office: Office) -> None:
    office.queue_for_partners("bob", orgs=["Nowhere"])
    to_folder(office)
    assert (await office.retire("partner-report")).code == 11
    office.queue_for_partners("ann", orgs=["edX"])
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["new"], ended.facts["stored"], ended.facts["finished"]) == (11, 1, 1, 1)
    to_folder(office, {**PARTNERS, "Nowhere": ["Somebody"]})
    office.queue_for_partners("eve", orgs=["edX"])
    ended = await office.retire("partner-report", "--and-new", "--json")
    assert (ended.code, ended.facts["new"], ended.facts["finished"]) == (0, 1, 2)


async def test_34_a_file_that_cannot_be_delivered_holds_nobody_else_back(office: Office) -> None:
    for username, orgs in (("ann", ["edX"]), ("bob", ["MITx"]), ("eve", ["edX", "MITx"])):
        office.queue_for_partners(username, orgs=orgs)
    to_folder(office)
    hold = office.lms.hold(route="partner_report", answer=True)
    running = asyncio.create_task(office.retire("partner-report", "--json"))

    def is_asking() -> None:
        assert office.lms.holding(hold) == 1

    await eventually(is_asking)
    # After the check, before the files.
    (office.place / key("MIT")).mkdir(parents=True)
    office.lms.release(hold)
    ended = await running
    assert (ended.code, ended.facts["finished"], len(ended.facts["failed"])) == (11, 1, 1)
    assert taken_off(office) == [[{"original_username": "ann"}]]
    (office.place / key("MIT")).rmdir()
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["files"], ended.facts["finished"]) == (0, 1, 2)
    assert {name: names(content) for name, content in office.files().items()} == {
        key("MIT"): ["bob", "eve"],
        key("edX Inc"): ["ann", "eve"],
    }


@pytest.mark.parametrize("uploaded", [False, True], ids=["before", "after"])
async def test_34_killed_after_the_answer_before_or_after_a_file_is_stored(
    office: Office, bucket: Bucket, uploaded: bool
) -> None:
    office.queue_for_partners("ann", orgs=["edX"])
    place = bucket.place().model_dump(mode="json")
    async with a_gate(bucket, lets_in=uploaded) as gate:
        office.write_site(reports={"platform": "edx", "partners": PARTNERS, "to": {**place, "endpoint": gate.url}})
        async with office.running("partner-report") as running:
            await running.comes_to(gate.reached)
            await running.kill()
    assert len(bucket.keys()) == uploaded and await stored(office) == 1
    office.write_site(reports={"platform": "edx", "partners": PARTNERS, "to": place})
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["asked"], ended.facts["finished"]) == (0, False, 1)
    assert {name: names(bucket.content(name)) for name in bucket.keys()} == {key("edX Inc"): ["ann"]}
    assert office.calls() == ["partner_report", "partner_cleanup"]


@pytest.mark.parametrize("answer", [False, True], ids=["before", "after"])
async def test_34_killed_at_the_end_before_or_after_the_lms_took_them_off(office: Office, answer: bool) -> None:
    for username in ("ann", "bob"):
        office.queue_for_partners(username, orgs=["edX"])
    to_folder(office)
    hold = office.lms.hold(route="partner_cleanup", answer=answer)
    async with office.running("partner-report") as running:

        def is_taking_off() -> None:
            assert office.lms.holding(hold) == 1

        await eventually(is_taking_off)
        await running.kill()
    office.lms.release(hold, done=False)
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["files"], ended.facts["finished"]) == (0, 0, 2)
    assert {name: names(content) for name, content in office.files().items()} == {key("edX Inc"): ["ann", "bob"]}
    assert [effect.effect for effect in office.lms.effects()].count("partner_cleanup") == 2
    assert await stored(office) == 0


async def test_34_an_answer_that_got_lost_names_who_may_be_marked_unseen(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [office.queue_for_partners(username, orgs=["edX"]) for username in ("ann", "bob")]
    cases = [await a_partner_step_done(office, row) for row in rows]
    to_folder(office)
    hold = office.lms.hold(route="partner_report", answer=True)
    async with office.running("partner-report") as running:

        def is_asking() -> None:
            assert office.lms.holding(hold) == 1

        await eventually(is_asking)
        await running.kill()
    office.lms.behave()
    late = office.queue_for_partners("eve", orgs=["edX"])
    await a_partner_step_done(office, late)
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["new"], ended.facts["finished"]) == (11, 1, 1)
    assert ended.facts["unseen"] == cases
    assert f"reset them in the LMS admin: {', '.join(cases)}" in ended.stderr
    assert "partner_rows_unseen" in caplog.messages
    assert not any(name in ended.stderr + ended.stdout for name in ("ann", "bob", "eve"))
    assert [names(content) for content in office.files().values()] == [["eve"]]
    again = await office.retire("partner-report", "--json")
    assert (again.code, again.facts["unseen"]) == (0, [])


async def test_34_after_an_answer_that_got_lost_the_lms_is_asked_again(office: Office) -> None:
    row = office.queue_for_partners("ann", orgs=["edX"])
    case = await a_partner_step_done(office, row)
    to_folder(office)
    office.lms.misbehave("lost_answer", route="partner_report")
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["new"], ended.facts["unseen"]) == (11, 0, [case])
    assert len(office.lms.requests(route="partner_report")) == 2 and await stored(office) == 0


async def test_34_a_refused_question_leaves_no_doubt_behind(office: Office) -> None:
    row = office.queue_for_partners("ann", orgs=["edX"])
    await a_partner_step_done(office, row)
    to_folder(office)
    office.lms.misbehave("status", route="partner_report", status=400)
    assert (await office.retire("partner-report")).code == 11
    assert await stored(office) == 0
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["finished"], ended.facts["unseen"]) == (0, 1, [])


async def test_34_names_that_the_lms_refuses_together_are_sent_one_by_one(office: Office) -> None:
    for username in ("ann", "bob"):
        office.queue_for_partners(username, orgs=["edX"])
    to_folder(office)
    office.lms.misbehave("status", route="partner_cleanup", status=400)
    ended = await office.retire("partner-report", "--json")
    assert (ended.code, ended.facts["finished"]) == (0, 2)
    assert taken_off(office) == [[{"original_username": "ann"}], [{"original_username": "bob"}]]


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ({"platform": "edx", "partners": {}}, "name no partner"),
        ({"platform": "edx", "partners": {"edX": ["a/b"]}}, "have no /"),
        ({"platform": "../edx", "partners": {"edX": ["a"]}}, "have no /"),
        ({"platform": "edx", "partners": {"edX": ["a"]}, "to": {"directory": "/nowhere"}}, "/nowhere isn't there"),
    ],
)
async def test_what_stands_in_the_way_is_told_before_the_lms_marks_anybody(
    office: Office, reports: dict[str, Any], told: str
) -> None:
    office.queue_for_partners("ann", orgs=["edX"])
    office.write_site(reports={"to": {"directory": str(office.place)}, **reports})
    ended = await office.retire("partner-report")
    assert ended.code in (10, 11) and told in ended.stderr
    assert office.calls() == []


async def test_the_dry_run_asks_nobody_and_tells_no_name(office: Office) -> None:
    for username, orgs in (("ann", ["edX"]), ("bob", ["Nowhere"])):
        office.queue_for_partners(username, orgs=orgs)
    to_folder(office)
    assert (await office.retire("partner-report")).code == 11
    office.lms.forget_requests()
    before = office.files()
    ended = await office.retire("partner-report", "--dry-run", "--json")
    assert ended.facts["stored"] == 1 and ended.facts["held_back"] == {"Nowhere": 1}
    assert not any(name in ended.stdout + ended.stderr for name in ("ann", "bob"))
    assert office.calls() == [] and office.files() == before and await stored(office) == 1


async def a_partner_step_done(office: Office, row: dict[str, Any]) -> str:
    """A retirement whose partner step is done now; gives its id."""
    plan = StoredPlan(digest="d", name=PLAN, format=1, document={"plan": PLAN, "steps": {}})
    id = row["id"]
    now = datetime.now(UTC)
    case = await a_case(office.ledger, user_id=f"{SITE}-{id}", run_key=f"run-{id}", plan=plan, now=now)
    await office.ledger.record_outcome(
        retirement_id=case.retirement_id,
        step="partners",
        action="do",
        outcome=StepOutcome(step="partners", result=StepResult.UNVERIFIED, at=now),
        service="lms",
        saved=None,
    )
    return case.retirement_id


class Gate:
    """Stands before an object store, and lets requests through up to the first upload, or to the one after that."""

    def __init__(self, bucket: Bucket, *, lets_in: bool) -> None:
        self._port = int(bucket.url.rpartition(":")[2])
        self._lets_in = lets_in
        self._uploaded = False
        self.reached = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        store_reader, store_writer = await asyncio.open_connection("127.0.0.1", self._port)
        back = asyncio.create_task(_pass(store_reader, writer))
        try:
            while data := await reader.read(65_536):
                if self._is_last(data):
                    self.reached.set()
                    break
                store_writer.write(data)
                await store_writer.drain()
            await reader.read()
        finally:
            back.cancel()
            store_writer.close()
            writer.close()

    def _is_last(self, data: bytes) -> bool:
        if self._uploaded:
            return data.startswith(b"GET ")
        self._uploaded = data.startswith(b"PUT ")
        return self._uploaded and not self._lets_in


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def a_gate(bucket: Bucket, *, lets_in: bool) -> AsyncIterator[Gate]:
    """A gate before the bucket's store, until the block ends."""
    gate = Gate(bucket, lets_in=lets_in)
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
    gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield gate
