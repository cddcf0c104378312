"""What becomes of what a person owned, asset by asset: moved, renamed, deleted, refused; and where else a successor is named."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.client import Document, Person
from sandbox.faults import FaultKind
from tests.support.plans import PlanDocument, all_of, brisk
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows.messages import Result, StepOutcome
from workflows.names import Outcome, Reason, StepResult

Change = Callable[[PlanDocument], None]


@pytest.fixture
def org() -> str:
    """An org that nobody else works for: the sandbox's people are those of all tests."""
    return f"org-{secrets.token_hex(4)}"


@pytest.fixture
def ada(stage: Stage, org: str) -> Person:
    return stage.sandbox.add_person(org=org, roles=("author",), documents=3)


@pytest.fixture
def bob(stage: Stage, org: str) -> Person:
    return stage.sandbox.add_person(org=org, roles=("admin",), name="Bob")


def instead(request: dict[str, Any], **assets: str) -> Change:
    """What is done with each document; nobody takes it over."""

    def change(document: PlanDocument) -> None:
        step = document["steps"]["documents"]
        del step["successor"], step["assets"]["owner"], document["successors"]
        step["request"] = request
        step["assets"] |= assets

    return change


def impatient(document: PlanDocument) -> None:
    document["steps"]["documents"]["patience"] = "1s"


async def retire(stage: Stage, person: Person, plan: str, **fields: Any) -> Retirement:
    return await stage.start(person, plan=plan, cool_off="0", **fields)


def handed_over(result: Result) -> StepOutcome:
    return next(step for step in result.steps if step.step == "documents")


async def test_a_document_that_is_refused_stops_it_after_the_others_were_moved(
    stage: Stage, ada: Person, bob: Person
) -> None:
    plan = stage.team_plan("team-refused", all_of(brisk, impatient))
    documents = stage.sandbox.documents
    first, *others = documents.documents_of(ada)
    documents.misbehave(FaultKind.STATUS, status=423, path_prefix=f"/documents/{first.id}/owner", times=None)
    errored = await (await retire(stage, ada, plan)).errored()
    failed = handed_over(errored)
    assert (failed.result, failed.code) == (StepResult.FAILED, "assets_refused")
    assert failed.detail == "PUT /documents/{{ asset.id }}/owner → 2 moved, 1 refused, 1 still theirs"
    assert [document.id for document in documents.documents_of(ada)] == [first.id]
    rows = {row.asset.id: (row.result, row.code) for row in await stage.ledger.assets(str(errored.retirement_id))}
    assert rows[first.id] == ("refused", "http_423") and {rows[other.id] for other in others} == {("moved", None)}
    assert stage.sandbox.forum.effects_on(ada) == ["mute"]
    documents.behave()
    resumed = await retire(stage, ada, plan, resume=errored.retirement_id)
    assert (await resumed.result()).outcome is Outcome.COMPLETE
    assert len(documents.documents_of(bob)) == 3 and set(documents.transfers(ada).values()) == {1}


async def test_a_document_in_trouble_is_tried_again_and_the_others_are_not(
    stage: Stage, ada: Person, bob: Person
) -> None:
    plan = stage.team_plan("team", brisk)
    documents = stage.sandbox.documents
    first, *others = documents.documents_of(ada)
    documents.misbehave(FaultKind.STATUS, status=503, path_prefix=f"/documents/{first.id}/owner", times=2)
    result = await (await retire(stage, ada, plan)).result()
    assert result.outcome is Outcome.COMPLETE
    asked = [request.path for request in documents.requests() if request.method == "PUT"]
    assert asked.count(f"/documents/{first.id}/owner") == 3
    assert all(asked.count(f"/documents/{other.id}/owner") == 1 for other in others)


async def test_a_document_that_somebody_else_took_is_left_to_them(
    stage: Stage, ada: Person, bob: Person, org: str
) -> None:
    cleo = stage.sandbox.add_person(org=org, roles=("author",))
    plan = stage.team_plan("team", brisk)
    documents = stage.sandbox.documents
    first, *_ = documents.documents_of(ada)
    path = f"/documents/{first.id}/owner"
    documents.misbehave(FaultKind.STATUS, status=503, path_prefix=path, times=None)
    run = await stage.start(ada, plan=plan, cool_off="0", running_clock=True)

    def was_asked_for() -> None:
        assert any(request.path == path for request in documents.requests())

    await eventually(was_asked_for)
    documents.add([Document(id=first.id, title="Cleo's", owner=cleo.user_id, owner_name=cleo.name)])
    documents.behave()
    await run.skip()
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert handed_over(result).detail == "PUT /documents/{{ asset.id }}/owner → 2 moved, 1 refused"
    assert [document.id for document in documents.documents_of(cleo)] == [first.id]
    assert len(documents.documents_of(bob)) == 2


@pytest.mark.parametrize(
    ("name", "change", "detail"),
    [
        (
            "team-renamed",
            instead(
                {"method": "PATCH", "path": "/documents/{{ asset.id }}", "json": {"owner_name": "Deleted user"}},
                becomes="anonymised",
                settled_when="item.owner_name == 'Deleted user'",
            ),
            "PATCH /documents/{{ asset.id }} → 3 anonymised",
        ),
        (
            "team-deleted",
            instead({"method": "DELETE", "path": "/documents/{{ asset.id }}"}, becomes="deleted"),
            "DELETE /documents/{{ asset.id }} → 3 deleted",
        ),
        (
            "team-pseudonym",
            instead(
                {
                    "method": "PUT",
                    "path": "/documents/{{ asset.id }}/owner",
                    "json": {"owner": "{{ pseudonym }}", "owner_name": "Deleted user", "expected": "{{ user_id }}"},
                },
                becomes="anonymised",
            ),
            "PUT /documents/{{ asset.id }}/owner → 3 anonymised",
        ),
    ],
    ids=["the name replaced", "deleted", "a pseudonym"],
)
async def test_where_nobody_takes_over_each_document_is_done_as_the_plan_says(
    stage: Stage, ada: Person, name: str, change: Change, detail: str
) -> None:
    plan = stage.team_plan(name, all_of(brisk, change))
    ids = {document.id for document in stage.sandbox.documents.documents_of(ada)}
    result = await (await retire(stage, ada, plan)).result()
    assert result.outcome is Outcome.COMPLETE
    assert (handed_over(result).result, handed_over(result).detail) == (StepResult.TRANSFERRED, detail)
    left = [found for id in sorted(ids) if (found := stage.sandbox.documents.document(id)) is not None]
    match name:
        case "team-renamed":
            assert {(document.owner, document.owner_name) for document in left} == {(ada.user_id, "Deleted user")}
        case "team-deleted":
            assert left == []
        case "team-pseudonym":
            [pseudonym] = {document.owner for document in left}
            assert pseudonym.startswith("deleted-") and ada.user_id not in pseudonym and len(left) == 3


async def test_a_list_that_shows_what_others_own_costs_them_nothing(stage: Stage, ada: Person, org: str) -> None:
    cleo = stage.sandbox.add_person(org=org, roles=("author",), documents=2)

    def wrong(document: PlanDocument) -> None:
        step = document["steps"]["documents"]
        del step["successor"], document["successors"]
        step["assets"] |= {"becomes": "deleted"}
        step["assets"]["request"]["query"]["owner"] = f"{{{{ '{cleo.user_id}' if user_id }}}}"
        step["request"] = {"method": "DELETE", "path": "/documents/{{ asset.id }}"}

    plan = stage.team_plan("team-wrong", all_of(brisk, impatient, wrong))
    errored = await (await retire(stage, ada, plan)).errored()
    assert handed_over(errored).detail == "DELETE /documents/{{ asset.id }} → 2 refused, 2 still theirs"
    assert len(stage.sandbox.documents.documents_of(cleo)) == 2


async def test_an_erasure_may_name_who_takes_over_though_nothing_is_owned(stage: Stage, org: str, bob: Person) -> None:
    def naming(document: PlanDocument) -> None:
        document["steps"]["heir"] = {
            "phase": "erase",
            "service": "forum",
            "successor": "colleague",
            "request": {"method": "PUT", "path": "/authors/{{ successor.id }}/mutes/heir-of-{{ user_id }}"},
            "unprobed": "only to see who is named",
        }

    cleo = stage.sandbox.add_person(org=org, roles=("author",))
    plan = stage.team_plan("team-naming", all_of(brisk, naming))
    assert (await (await retire(stage, cleo, plan)).result()).outcome is Outcome.COMPLETE
    assert (stage.sandbox.forum.kept(bob) or {})["mutes"] == [f"heir-of-{cleo.user_id}"]
    alone = stage.sandbox.add_person(org=f"{org}-other", roles=("author",))
    result = await (await retire(stage, alone, plan)).result()
    assert (result.reason, result.code) == (Reason.NO_SUCCESSOR, "colleague:nobody_suitable")


async def test_documents_in_a_network_of_their_own_are_asked_for_there(stage: Stage, ada: Person, bob: Person) -> None:
    def apart(document: PlanDocument) -> None:
        document["services"]["documents"]["queue"] = "intranet"

    plan = stage.team_plan("team-apart", all_of(brisk, apart))
    async with stage.worker_for("intranet"):
        run = await retire(stage, ada, plan)
        assert (await run.result()).outcome is Outcome.COMPLETE
    queues = await run.queues()
    assert {call: queues[call] for call in ("check:intranet", "check:successors", "documents")} == {
        "check:intranet": "retirement-calls-intranet",
        "check:successors": "retirement-calls",
        "documents": "retirement-calls-intranet",
    }
    assert len(stage.sandbox.documents.documents_of(bob)) == 3
