"""The documents of the sandbox have one owner each, and move as a careful service would let them."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml

from activities.rendering import evaluate, render_body, render_path, render_query
from plans.model import Plan
from plans.requests import HttpRequest, Request
from sandbox.client import Document, Person
from sandbox.faults import FaultKind
from sandbox.launch import Sandbox

TEAM_PLAN = Path(__file__).parents[2] / "plans" / "sandbox_team.yaml"


def ask(sandbox: Sandbox, method: str, path: str, *, key: str | None = None, json: object = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {sandbox.environment['DOCUMENTS_TOKEN']}"}
    headers |= {"idempotency-key": key} if key else {}
    return sandbox.documents.http.request(method, path, headers=headers, json=json)


def at(document: Document | str, below: str = "") -> str:
    return f"/documents/{quote(document if isinstance(document, str) else document.id, safe='')}{below}"


def hand_over(sandbox: Sandbox, document: Document, *, to: Person, key: str | None = None) -> httpx.Response:
    wish = {"owner": to.user_id, "owner_name": to.name, "expected": document.owner}
    return ask(sandbox, "PUT", at(document, "/owner"), key=key, json=wish)


def pages(sandbox: Sandbox, query: str) -> list[list[str]]:
    """The ids on each page, following `next`."""
    found, following = [], query
    while following:
        page = ask(sandbox, "GET", f"/documents{following}").raise_for_status().json()
        found.append([document["id"] for document in page["documents"]])
        following = page["next"]
    return found


async def test_what_somebody_owns_is_listed_a_hundred_a_page(sandbox: Sandbox) -> None:
    ada, bob = Person(), Person()
    documents = sandbox.documents.add_documents(owner=ada, count=201)
    sandbox.documents.add_documents(owner=bob)
    first = ask(sandbox, "GET", f"/documents?owner={ada.user_id}").json()
    assert first["next"] == f"?owner={ada.user_id}&page=2"
    assert first["documents"][0] == {
        "id": documents[0].id,
        "title": f"Page 1 by {ada.name}",
        "kind": "page",
        "owner": ada.user_id,
        "owner_name": ada.name,
        "version": 1,
    }
    ids = [document.id for document in documents]
    assert pages(sandbox, f"?owner={ada.user_id}") == [ids[:100], ids[100:200], ids[200:]]
    assert pages(sandbox, f"?owner={ada.user_id}&per_page=1000") == [ids]
    assert pages(sandbox, f"?owner={ada.user_id}&per_page=67") == [ids[:67], ids[67:134], ids[134:]]
    assert pages(sandbox, "?owner=nobody") == [[]]


@pytest.mark.parametrize("user_id", ["../admin", "a/b", "a&owner=c", "..", "a%2Fb", "' or 1=1 --", "ü\u202eb", "a+b c"])
async def test_an_owner_and_a_document_are_data_whatever_their_ids_look_like(sandbox: Sandbox, user_id: str) -> None:
    ada, bob = sandbox.add_person(user_id=user_id, documents=3, at=["documents"]), Person()
    listed = pages(sandbox, f"?owner={quote(user_id, safe='')}&per_page=2")
    assert listed == [[f"{user_id}-00001", f"{user_id}-00002"], [f"{user_id}-00003"]]
    document = sandbox.documents.documents_of(ada)[0]
    assert hand_over(sandbox, document, to=bob).status_code == 200
    moved = sandbox.documents.document(document.id)
    assert moved is not None and moved.owner == bob.user_id


@pytest.mark.parametrize(
    "query", ["", "?owner=x&page=0", "?owner=x&page=-1", "?owner=x&page=²", "?owner=x&per_page=1001"]
)
async def test_a_list_that_makes_no_sense_is_refused(sandbox: Sandbox, query: str) -> None:
    assert ask(sandbox, "GET", f"/documents{query}").status_code == 400


async def test_a_document_is_handed_over_once_under_a_key(sandbox: Sandbox) -> None:
    ada, bob = Person(), Person()
    moved, stays = sandbox.documents.add_documents(owner=ada, count=2)
    first, second = (hand_over(sandbox, moved, to=bob, key=f"{moved.id}:transfer") for _ in range(2))
    assert first.json() == second.json() == ask(sandbox, "GET", at(moved)).json()
    assert (first.status_code, second.headers["idempotency-replayed"]) == (200, "true")
    assert sandbox.documents.document(moved.id) == Document(
        id=moved.id, title=moved.title, owner=bob.user_id, owner_name=bob.name, version=2
    )
    assert sandbox.documents.documents_of(ada) == [stays]
    [effect] = sandbox.documents.effects(ada)
    assert (effect.effect, effect.asset_id, effect.idempotency_key) == ("transfer", moved.id, f"{moved.id}:transfer")
    assert sandbox.documents.transfers(ada) == {moved.id: 1}
    assert sandbox.documents.transfers(bob) == {}


async def test_a_document_moves_only_from_whom_it_is_expected_of(sandbox: Sandbox) -> None:
    ada, bob, cleo = Person(), Person(), Person()
    [document] = sandbox.documents.add_documents(owner=ada)
    hand_over(sandbox, document, to=bob).raise_for_status()
    for late in (cleo, bob):
        refused = hand_over(sandbox, document, to=late)
        assert (refused.status_code, refused.json()["owner"]) == (409, bob.user_id)
    assert sandbox.documents.transfers(ada) == {document.id: 1}


async def test_a_key_that_comes_back_with_another_wish_is_not_told_that_it_was_granted(sandbox: Sandbox) -> None:
    ada, bob, cleo = Person(), Person(), Person()
    [document] = sandbox.documents.add_documents(owner=ada)
    hand_over(sandbox, document, to=bob, key=document.id).raise_for_status()
    assert hand_over(sandbox, document, to=cleo, key=document.id).status_code == 422


async def test_giving_to_oneself_is_no_transfer(sandbox: Sandbox) -> None:
    ada = Person()
    [document] = sandbox.documents.add_documents(owner=ada)
    assert hand_over(sandbox, document, to=ada).status_code == 200
    assert sandbox.documents.effects(ada) == []


@pytest.mark.parametrize("missing", ["owner", "owner_name", "expected"])
async def test_a_wish_that_lacks_something_is_refused(sandbox: Sandbox, missing: str) -> None:
    [document] = sandbox.documents.add_documents(owner=Person())
    wish = {"owner": "u-2", "owner_name": "Bob", "expected": document.owner, missing: None}
    assert ask(sandbox, "PUT", at(document, "/owner"), json=wish).status_code == 422
    assert sandbox.documents.document(document.id) == document


async def test_an_owner_s_name_can_be_replaced_and_the_owner_stays(sandbox: Sandbox) -> None:
    ada = Person()
    [document] = sandbox.documents.add_documents(owner=ada, titles=["Roadmap"], kind="slide")
    for _ in range(2):
        renamed = ask(sandbox, "PATCH", at(document), json={"owner_name": "Deleted user"}).json()
        assert (renamed["owner_name"], renamed["owner"], renamed["version"]) == ("Deleted user", ada.user_id, 2)
    assert (renamed["title"], renamed["kind"]) == ("Roadmap", "slide")
    assert ask(sandbox, "PATCH", at(document), json={"title": "x"}).status_code == 422
    assert [(e.effect, e.asset_id) for e in sandbox.documents.effects(ada)] == [("rename_owner", document.id)]


async def test_a_deleted_document_is_nowhere(sandbox: Sandbox) -> None:
    ada = Person()
    document, stays = sandbox.documents.add_documents(owner=ada, count=2)
    statuses = [ask(sandbox, "DELETE", at(document)).status_code for _ in range(2)]
    assert statuses == [204, 404]
    assert [(e.effect, e.asset_id) for e in sandbox.documents.effects(ada)] == [("erase", document.id)]
    assert ask(sandbox, "GET", at(document)).status_code == 404
    assert ask(sandbox, "PATCH", at(document), json={"owner_name": "x"}).status_code == 404
    assert hand_over(sandbox, document, to=Person()).status_code == 404
    assert sandbox.documents.document(document.id) is None
    everything = sandbox.documents.all_documents()
    assert stays in everything and document not in everything


async def test_ten_thousand_are_seeded_at_once(sandbox: Sandbox) -> None:
    ada = Person()
    documents = sandbox.documents.add_documents(owner=ada, count=10_000)
    assert sandbox.documents.documents_of(ada) == documents
    assert sandbox.documents.kept(ada) == {
        "id": ada.user_id,
        "name": ada.name,
        "documents": 10_000,
        "titles": [document.title for document in documents[:10]],
    }


async def test_documents_are_seeded_all_or_none(sandbox: Sandbox) -> None:
    ada = Person()
    good, bad = (
        Document(id=f"{ada.user_id}-{kind}", title="T", kind=kind, owner=ada.user_id, owner_name=ada.name)
        for kind in ("page", "poem")
    )
    with pytest.raises(httpx.HTTPStatusError, match="500"):
        sandbox.documents.add([good, bad])
    assert sandbox.documents.documents_of(ada) == []
    sandbox.documents.add([good])
    assert sandbox.documents.documents_of(ada) == [good]


async def test_a_person_who_is_added_again_has_their_documents_back(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(documents=2)
    before = sandbox.documents.documents_of(ada)
    assert [document.title for document in before] == [f"Page 1 by {ada.name}", f"Page 2 by {ada.name}"]
    hand_over(sandbox, before[0], to=Person()).raise_for_status()
    sandbox.add_people([ada], at=["documents"])
    assert sandbox.documents.documents_of(ada) == before
    assert sandbox.documents.kept(sandbox.add_person()) is None


async def test_a_fault_for_a_person_hits_what_is_theirs_now(sandbox: Sandbox) -> None:
    ada, bob = Person(), Person()
    [of_ada], [of_bob] = (sandbox.documents.add_documents(owner=person) for person in (ada, bob))
    sandbox.documents.misbehave(FaultKind.STATUS, user=ada, status=503, method="PUT")
    assert hand_over(sandbox, of_bob, to=ada).status_code == 200
    assert hand_over(sandbox, of_ada, to=bob).status_code == 503
    assert hand_over(sandbox, of_ada, to=bob).status_code == 200
    sandbox.documents.misbehave(FaultKind.STATUS, user=ada, status=502)
    assert ask(sandbox, "GET", at(of_ada)).status_code == 200
    assert ask(sandbox, "GET", at(of_bob)).status_code == 502
    sandbox.documents.misbehave(FaultKind.STATUS, user=ada, status=501)
    assert ask(sandbox, "GET", f"/documents?owner={bob.user_id}").status_code == 200
    assert ask(sandbox, "GET", f"/documents?owner={ada.user_id}").status_code == 501


async def test_a_lost_answer_has_moved_the_document_and_is_found_again(sandbox: Sandbox) -> None:
    ada, bob = Person(), Person()
    [document] = sandbox.documents.add_documents(owner=ada)
    sandbox.documents.misbehave(FaultKind.LOST_ANSWER, user=ada)
    with pytest.raises(httpx.RemoteProtocolError):
        hand_over(sandbox, document, to=bob, key=document.id)
    assert hand_over(sandbox, document, to=bob, key=document.id).json()["owner"] == bob.user_id
    assert sandbox.documents.transfers(ada) == {document.id: 1}


async def test_a_lie_says_that_the_document_was_moved(sandbox: Sandbox) -> None:
    ada, bob = Person(), Person()
    [document] = sandbox.documents.add_documents(owner=ada)
    sandbox.documents.misbehave(FaultKind.LIE, user=ada)
    assert hand_over(sandbox, document, to=bob).json()["owner"] == bob.user_id
    assert sandbox.documents.document(document.id) == document
    assert sandbox.documents.effects(ada) == []


async def test_an_echo_gives_titles_away(sandbox: Sandbox) -> None:
    ada = Person()
    [document] = sandbox.documents.add_documents(owner=ada, titles=["How I left the company"])
    sandbox.documents.misbehave(FaultKind.ECHO, user=ada, status=403)
    answer = hand_over(sandbox, document, to=Person(name="Bob the Next"))
    for place in (answer.text, answer.headers["x-error"], answer.reason_phrase):
        assert "How I left the company" in place and "Bob the Next" in place


async def test_the_team_s_plan_moves_what_it_finds(sandbox: Sandbox) -> None:
    """Its templates and expressions, put together by hand: what the service says is what they read."""
    ada, bob = Person(), Person()
    documents = sandbox.documents.add_documents(owner=ada, titles=["One", "Two"], kind="slide")
    step = Plan.model_validate(yaml.safe_load(TEAM_PLAN.read_text())).steps["documents"]
    assert step.assets is not None and step.assets.owner is not None
    assert step.assets.title is not None and step.assets.type is not None
    context = {"user_id": ada.user_id, "successor": {"id": bob.user_id, "name": bob.name}}

    listed = asked_by(sandbox, step.assets.request, context)
    items = evaluate(step.assets.items, {"body": listed})
    for document, item in zip(documents, items, strict=True):
        asset = evaluate(step.assets.id, {"item": item})
        assert (asset, evaluate(step.assets.title, {"item": item})) == (document.id, document.title)
        assert evaluate(step.assets.type, {"item": item}) == "slide"
        asked_by(sandbox, step.request, {**context, "asset": {"id": asset}})
        owner = asked_by(sandbox, step.assets.owner.request, {"asset": {"id": asset}})
        assert evaluate(step.assets.owner.value, {"body": owner}) == bob.user_id
    assert sandbox.documents.transfers(ada) == {document.id: 1 for document in documents}
    assert {document.owner_name for document in sandbox.documents.documents_of(bob)} == {bob.name}


def asked_by(sandbox: Sandbox, request: Request | None, context: dict[str, Any]) -> Any:
    """The answer to a request of a plan."""
    assert isinstance(request, HttpRequest)
    path = f"{render_path(request.path, context)}?{render_query(request.query, context)}"
    return ask(sandbox, request.verb, path, json=render_body(request.body, context)).raise_for_status().json()
