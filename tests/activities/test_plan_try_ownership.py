"""`retire plan try` of a plan that hands things over: inventories, candidates and roles are asked, and nothing is changed."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from activities.actions.dispatch import Actions
from plans.defaults import with_defaults
from plans.model import Plan
from sandbox.launch import Sandbox
from starter.exit_codes import ExitCode
from starter.main import app
from starter.sheet import plain
from starter.trial.findings import Findings, Level
from starter.trial.telling import lines_of
from starter.trial.trial import try_plan
from tests.support.http_service import HttpService, Received, Reply, http_service
from tests.support.plans import TEAM_PLAN

ADA, GRACE, ALAN = "ada-1815", "grace-1906", "alan-1912"
TITLES = ("Notes on the engine", "A letter to Babbage", "Accounts of the house")
Document = dict[str, Any]


class Wiki:
    """A service that does everything right: it knows people and their pages, and pages its lists by two."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.people: dict[str, Any] = {
            ADA: {"id": ADA, "team": "engines", "mail": "ada@example.org", "active": True},
            GRACE: {"id": GRACE, "team": "engines", "mail": "grace@example.org", "active": False},
            ALAN: {"id": ALAN, "team": "engines", "mail": "alan@example.org", "active": True},
        }
        self.leads: list[Any] = [{"id": id, "mail": self.people[id]["mail"]} for id in (ADA, GRACE, ALAN)]
        self.pages = [{"id": f"p-{n}", "name": title, "owner": ADA, "v": n} for n, title in enumerate(TITLES, start=1)]
        service.otherwise(self.answer)

    def answer(self, received: Received) -> Reply:
        path, _, query = received.target.partition("?")
        if received.headers.get("authorization") != "Bearer t0ken":
            return Reply(status=401)
        match path.strip("/").split("/"):
            case ["users", id]:
                return Reply(body=self.people[id]) if id in self.people else Reply(status=404)
            case ["teams", "engines", "leads"]:
                return Reply(body={"users": self.leads})
            case ["pages"]:
                return self._list(query)
            case ["pages", id]:
                found = next((page for page in self.pages if page["id"] == id), None)
                return Reply(body=found) if found else Reply(status=404)
        return Reply(status=404)

    def _list(self, query: str) -> Reply:
        values = dict(part.split("=") for part in query.split("&"))
        owned = [page for page in self.pages if page["owner"] == values["owner"]]
        start = int(values.get("from", 0))
        more = f"/pages?owner={values['owner']}&from={start + 2}" if len(owned) > start + 2 else None
        return Reply(body={"pages": owned[start : start + 2], "next": more})


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[HttpService]:
    async with http_service() as service:
        yield service


@pytest.fixture
def wiki(service: HttpService, monkeypatch: pytest.MonkeyPatch) -> Wiki:
    service.forget()
    monkeypatch.setenv("WIKI_URL", service.url)
    monkeypatch.setenv("WIKI_TOKEN", "t0ken")
    return Wiki(service)


def _get(path: str, **query: str) -> Document:
    return {"method": "GET", "path": path, **({"query": query} if query else {})}


DOCUMENT: Document = {
    "plan": "acme",
    "subject": {
        "lookup": {
            "service": "wiki",
            "request": _get("/users/{{ user_id }}"),
            "fields": {"email": "body.mail", "team": "body.team"},
        }
    },
    "facts": {
        "leads": {
            "service": "wiki",
            "request": _get("/teams/{{ subject.team }}/leads"),
            "items": "body.users",
        }
    },
    "successors": {
        "colleague": {
            "candidates": [
                {
                    "service": "wiki",
                    "request": _get("/teams/{{ subject.team }}/leads"),
                    "items": "body.users",
                    "id": "item.id",
                }
            ],
            "suitable": {
                "service": "wiki",
                "request": _get("/users/{{ successor.id }}"),
                "when": "body.active and body.team == subject.team",
                "fields": {"email": "body.mail"},
            },
        }
    },
    "cool_off": {"duration": "14d"},
    "mail": {
        "from": "wiki@acme.example",
        "admins": ["{{ facts.leads | map(attribute='mail') }}", "ops@acme.example"],
        "recipients": [{"address": "{{ subject.email }}"}],
    },
    "services": {"wiki": {"base_url": "${env:WIKI_URL}", "auth": {"type": "bearer", "token": "${env:WIKI_TOKEN}"}}},
    "steps": {
        "pages": {
            "phase": "transfer",
            "service": "wiki",
            "successor": "colleague",
            "assets": {
                "request": _get("/pages", owner="{{ user_id }}"),
                "items": "body.pages",
                "id": "item.id",
                "title": "item.name",
                "fields": {"version": "item.v"},
                "next_page": "body.next",
                "owner": {"request": _get("/pages/{{ asset.id }}"), "value": "body.owner"},
            },
            "request": {
                "method": "PUT",
                "path": "/pages/{{ asset.id }}/owner",
                "json": {"owner": "{{ successor.id }}", "v": "{{ asset.version }}", "was": "{{ user_id }}"},
            },
        },
        "account": {
            "phase": "erase",
            "service": "wiki",
            "request": {"method": "DELETE", "path": "/users/{{ user_id }}"},
            "absent": [404],
            "probe": {"request": _get("/users/{{ user_id }}")},
        },
    },
}


def a_document(change: Callable[[Document], None] = lambda document: None) -> Document:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def _assets(document: Document) -> Document:
    return document["steps"]["pages"]["assets"]  # type: ignore[no-any-return]


def _policy(document: Document) -> Document:
    return document["successors"]["colleague"]  # type: ignore[no-any-return]


async def tried(document: Document, **how: Any) -> Findings:
    actions = Actions(version="0.test")
    try:
        plan = with_defaults(Plan.model_validate(document))
        return await try_plan(plan, action=actions, **{"user_id": ADA, **how})
    finally:
        await actions.close()


def told(findings: Findings) -> str:
    return "\n".join(plain(line) for line in lines_of(findings))


async def test_what_they_own_and_who_would_take_over_is_asked_and_only_reads_arrive(wiki: Wiki) -> None:
    findings = await tried(a_document())
    assert findings.remarks() == []
    assert {received.method for received in wiki.service.received} == {"GET"}
    owned, owner = findings.assets
    assert owned.meaning == "owns 3, over 2 pages (2, 1)"
    assert [(each.name, each.kind, each.value) for each in owned.reads] == [
        ("id", "text, 3 characters", None),
        ("title", "text, 19 characters", None),
        ("version", "number", None),
    ]
    assert owned.also == ("of an id that is nobody's it lists nothing (200), as it should",)
    assert (owner.part, owner.meaning) == ("steps.pages.assets.owner", "the first asset is theirs")
    assert owner.also == ("of an asset that doesn't exist it says 404, as it should",)
    listed, grace, alan = findings.successors
    assert listed.meaning == "lists 3, the person among them, who is passed over"
    assert (grace.meaning, alan.meaning) == ("may not take over", "may take over")
    assert grace.also == ("of an id that is nobody's it says 404: may not take over, as it should be",)
    assert [ruling.says for ruling in findings.successions] == ["the first candidate who will do would take over"]


async def test_the_write_is_shown_as_it_would_be_made_with_the_first_asset(wiki: Wiki) -> None:
    findings = await tried(a_document(), show_values=True)
    left = next(each for each in findings.not_asked if each.part == "steps.pages")
    assert left.sent_as == (
        f'PUT {wiki.service.url}/pages/p-1/owner with {{"owner": "{ALAN}", "v": 1, "was": "{ADA}"}}'
    )
    masked = await tried(a_document())
    left = next(each for each in masked.not_asked if each.part == "steps.pages")
    assert left.sent_as == f'PUT {wiki.service.url}/pages/•••/owner with {{"owner": •••, "v": •••, "was": •••}}'


async def test_no_title_and_no_id_is_shown_unasked(wiki: Wiki) -> None:
    findings = await tried(a_document())
    shown = told(findings)
    for personal in (ADA, GRACE, ALAN, "p-1", "example.org", *TITLES):
        assert personal not in shown
    shown = told(await tried(a_document(), show_values=True))
    assert TITLES[0] in shown and f"({ALAN}) would take over" in shown


async def test_whom_the_start_would_name_is_asked_about_and_nobody_else(wiki: Wiki) -> None:
    findings = await tried(a_document(), successor=GRACE)
    assert [question.meaning for question in findings.successors[1:]] == ["may not take over"]
    [ruling] = findings.successions
    assert ruling.says == "whom --successor names may not take over"
    assert [remark.code for remark in ruling.remarks] == ["no_successor"]


async def test_once_somebody_will_do_nobody_else_is_asked_about(wiki: Wiki) -> None:
    wiki.leads.reverse()
    findings = await tried(a_document())
    assert [question.meaning for question in findings.successors[1:]] == ["may take over"]
    assert not wiki.service.calls("GET", f"/users/{GRACE}")


async def test_of_many_candidates_the_first_are_asked_about(wiki: Wiki) -> None:
    wiki.leads[:] = [{"id": f"nobody-{n}", "mail": "x@example.org"} for n in range(9)]
    findings = await tried(a_document())
    assert len(findings.successors[1:]) == 5
    assert findings.successions[0].says == "of the first 5 of 9 candidates nobody may take over"


async def test_somebody_who_owns_nothing_needs_nobody(wiki: Wiki) -> None:
    wiki.pages.clear()
    wiki.people[ALAN]["active"] = False
    findings = await tried(a_document())
    assert findings.assets[0].meaning == "owns nothing"
    assert findings.assets[0].also == ("of an id that is nobody's it lists nothing (200), too",)
    assert [ruling.says for ruling in findings.successions] == [
        "nobody has to take over: they own nothing that goes to somebody"
    ]
    assert findings.remarks() == []
    left = next(each for each in findings.not_asked if each.part == "steps.pages")
    assert left.why == "needs asset.id, asset.version, successor.id"


async def test_what_is_settled_is_not_counted(wiki: Wiki) -> None:
    wiki.pages[0]["owner_name"] = "gone"
    findings = await tried(
        a_document(lambda d: _assets(d).update(settled_when="item.owner_name | default('') == 'gone'"))
    )
    assert findings.assets[0].meaning == "owns 3, over 2 pages (2, 1); 1 of them settled already"
    assert findings.remarks() == []


async def test_an_erase_step_that_reassigns_needs_somebody_even_of_who_owns_nothing(wiki: Wiki) -> None:
    def change(document: Document) -> None:
        del document["steps"]["pages"]
        document["steps"]["account"] |= {
            "successor": "colleague",
            "request": {"method": "DELETE", "path": "/users/{{ user_id }}", "query": {"to": "{{ successor.id }}"}},
        }

    wiki.people[ALAN]["active"] = False
    [ruling] = (await tried(a_document(change))).successions
    assert [remark.code for remark in ruling.remarks] == ["no_successor"]


@dataclass(frozen=True)
class Mistake:
    """A mistake of a plan or a service, and what has to be said of it."""

    name: str
    code: str
    says: str
    mend: str
    plan: Callable[[Document], None] = lambda document: None
    service: Callable[[Wiki], None] = lambda wiki: None
    level: Level = Level.PROBLEM


def _without_role(wiki: Wiki) -> None:
    wiki.people[ALAN]["active"] = False


def _refuses_strangers(wiki: Wiki) -> None:
    usual = wiki.answer
    wiki.service.otherwise(
        lambda received: Reply(status=404) if "/pages?owner=nobody" in received.target else usual(received)
    )


MISTAKES = [
    Mistake(
        "an inventory that lists everybody's",
        "lists_everybodys",
        "It lists at least 2 for an id that is nobody's, too: other people's assets would be taken.",
        "names {{ user_id }}",
        plan=lambda d: _assets(d).update(request=_get("/pages", owner=ADA)),
    ),
    Mistake(
        "a list of another name",
        "field_missing",
        "steps.pages.assets.items: there is no `documents` in `body`, which has pages, next.",
        "Name one of these.",
        plan=lambda d: _assets(d).update(items="body.documents"),
    ),
    Mistake(
        "a list that is none",
        "items_no_list",
        "steps.pages.assets: `items` is no list in this answer.",
        "Name the list",
        plan=lambda d: _assets(d).update(items="body"),
    ),
    Mistake(
        "an id of another name",
        "field_missing",
        "steps.pages.assets.id: there is no `key` in `item`, which has id, name, owner, v.",
        "Name one of these.",
        plan=lambda d: _assets(d).update(id="item.key"),
    ),
    Mistake(
        "an id that is none",
        "asset_without_id",
        "steps.pages.assets.id: what is read is no id",
        "the field by which the service's paths name it",
        plan=lambda d: _assets(d).update(id="item"),
    ),
    Mistake(
        "ids that are the same",
        "same_id",
        "steps.pages.assets.id: 2 of 3 assets have the id of another one.",
        "read what tells them apart",
        plan=lambda d: _assets(d).update(id="item.owner", owner=None),
    ),
    Mistake(
        "pages that aren't read",
        "more_pages",
        "steps.pages.assets: the answer names a next page (`next`), which isn't read.",
        "add steps.pages.assets.next_page",
        plan=lambda d: _assets(d).pop("next_page"),
        level=Level.WARNING,
    ),
    Mistake(
        "a condition that fails",
        "field_missing",
        "steps.pages.assets.settled_when: there is no `done` in `item`",
        "Name one of these.",
        plan=lambda d: _assets(d).update(settled_when="item.done == 'yes'"),
    ),
    Mistake(
        "a 404 for people without pages",
        "nobody_is_not_absent",
        "For an id that is nobody's it answers 404, which isn't in absent.",
        "add steps.pages.assets.absent: [404]",
        service=_refuses_strangers,
        level=Level.WARNING,
    ),
    Mistake(
        "an owner of another kind",
        "owner_is_other",
        "steps.pages.assets.owner.value is not the user id of whom the asset was listed for.",
        "Read the owner's user id",
        plan=lambda d: _assets(d)["owner"].update(value="body.name"),
    ),
    Mistake(
        "an owner's path that is wrong",
        "asset_not_found",
        "the first asset of the list isn't there",
        "Check the path",
        plan=lambda d: _assets(d)["owner"].update(request=_get("/page/{{ asset.id }}")),
    ),
    Mistake(
        "a missing asset that isn't absent",
        "nothing_is_not_absent",
        "For an asset that doesn't exist it answers 404, which isn't in owner.absent.",
        "name what it answers in absent",
        plan=lambda d: _assets(d)["owner"].update(absent=[410]),
        level=Level.WARNING,
    ),
    Mistake(
        "candidates of another name",
        "field_missing",
        "successors.colleague.candidates[0].id: there is no `user` in `item`, which has id, mail.",
        "Name one of these.",
        plan=lambda d: _policy(d)["candidates"][0].update(id="item.user"),
    ),
    Mistake(
        "a candidate without an id",
        "candidate_without_id",
        "successors.colleague.candidates[0].id: what is read is no user id",
        "the field that holds the user id",
        plan=lambda d: _policy(d)["candidates"][0].update(id="item"),
    ),
    Mistake(
        "nobody who may take over",
        "no_successor",
        "The person owns something, and of all candidates nobody may take over",
        "give somebody the role",
        service=_without_role,
        level=Level.WARNING,
    ),
    Mistake(
        "no candidate at all",
        "no_successor",
        "The person owns something, and there is no candidate",
        "name somebody by --successor",
        service=lambda wiki: wiki.leads.clear(),
        level=Level.WARNING,
    ),
    Mistake(
        "a successor who must be named",
        "no_successor",
        "and nobody is named, and the plan takes nobody else",
        "name somebody by --successor",
        plan=lambda d: _policy(d).update(named="required", candidates=[]),
        level=Level.WARNING,
    ),
    Mistake(
        "a role that everybody has",
        "anybody_is_suitable",
        "Somebody who doesn't exist may take over, too (200).",
        "names {{ successor.id }}",
        plan=lambda d: _policy(d)["suitable"].update(request=_get(f"/users/{ALAN}")),
    ),
    Mistake(
        "a role of another name",
        "field_missing",
        "successors.colleague.suitable.when: there is no `role` in `body`",
        "Name one of these.",
        plan=lambda d: _policy(d)["suitable"].update(when="body.role == 'lead'"),
    ),
    Mistake(
        "a role that is no yes or no",
        "no_truth",
        "successors.colleague.suitable.when is no true or false, and counts as true.",
        "Write a comparison",
        plan=lambda d: _policy(d)["suitable"].update(when="body.team"),
        level=Level.WARNING,
    ),
    Mistake(
        "a successor's field of another name",
        "field_missing",
        "successors.colleague.suitable.fields.email: there is no `email` in `body`",
        "Did you mean `body.mail`?",
        plan=lambda d: _policy(d)["suitable"]["fields"].update(email="body.email"),
    ),
    Mistake(
        "a role's path that is wrong",
        "path_not_proved",
        "404 can't be told from a wrong path",
        "Check base_url and path",
        plan=lambda d: _policy(d)["suitable"].update(request=_get("/person/{{ successor.id }}")),
        service=lambda wiki: wiki.service.otherwise(
            lambda received: Reply(status=404) if received.target.startswith("/person") else wiki.answer(received)
        ),
    ),
    Mistake(
        "an admin without an address",
        "no_mail_address",
        "mail.admins: what comes out is no mail address for 3 of 4.",
        "map(attribute='email')",
        plan=lambda d: d["mail"].update(admins=["{{ facts.leads | map(attribute='id') }}", "ops@acme.example"]),
    ),
    Mistake(
        "admins that are none",
        "no_admins",
        "mail.admins: comes out empty",
        "add an address of a team",
        plan=lambda d: d["mail"].update(admins=["{{ facts.leads | selectattr('admin', 'defined') | list }}"]),
        level=Level.WARNING,
    ),
    Mistake(
        "a recipient without an address",
        "no_mail_address",
        "mail.recipients[0].address: what comes out is no mail address.",
        "lookup.fields",
        plan=lambda d: d["mail"].update(recipients=[{"address": "{{ subject.team }}"}]),
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
async def test_a_mistake_is_told_with_how_to_mend_it(wiki: Wiki, mistake: Mistake) -> None:
    mistake.service(wiki)
    findings = await tried(a_document(mistake.plan))
    remarks = {remark.code: remark for remark in findings.remarks()}
    assert mistake.code in remarks, told(findings)
    remark = remarks[mistake.code]
    assert mistake.says in remark.what
    assert mistake.mend in remark.mend
    assert remark.level is mistake.level
    assert {received.method for received in wiki.service.received} == {"GET"}


async def test_one_service_alone_is_asked_what_concerns_it(wiki: Wiki) -> None:
    def change(document: Document) -> None:
        document["services"]["other"] = {"base_url": "http://127.0.0.1:1"}
        document["steps"]["pages"]["service"] = "other"

    findings = await tried(a_document(change), service="wiki")
    assert findings.assets == []
    assert [question.part for question in findings.successors[:2]] == [
        "successors.colleague.candidates[0]",
        "successors.colleague.suitable",
    ]
    assert findings.successions == []


@pytest.mark.parametrize("ask_post", [False, True])
async def test_a_search_by_post_is_asked_only_on_request(wiki: Wiki, ask_post: bool) -> None:
    request = {"method": "POST", "path": "/searches", "json": {"owner": "{{ user_id }}"}}
    wiki.service.on("POST", "/searches", Reply(body={"pages": [], "next": None}))
    findings = await tried(a_document(lambda d: _assets(d).update(request=request)), ask_post=ask_post)
    assert bool(wiki.service.calls("POST", "/searches")) is ask_post
    left = [each.why for each in findings.not_asked if each.part == "steps.pages.assets"]
    assert left == ([] if ask_post else ["by its form it may change something; --ask-post asks it, too"])
    assert findings.successions[0].says == (
        "nobody has to take over: they own nothing that goes to somebody"
        if ask_post
        else "the first candidate who will do would take over"
    )


async def test_the_command_tells_of_ownership_in_text_and_json(wiki: Wiki, tmp_path: Path) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    arguments = ["plan", "try", str(file), "--user", ADA, "--successor", GRACE]
    text = await _retire(*arguments)
    assert text.exit_code == ExitCode.OK, text.output
    assert "\nWhat they own\n" in text.stdout and "\nWho could take over\n" in text.stdout
    assert "  ! successors.colleague: whom --successor names may not take over\n" in text.stdout
    assert "\nMails to others\n  ✓ mail.admins: would write to 4\n" in text.stdout
    facts = json.loads((await _retire(*arguments, "--json")).stdout)
    assert [each["part"] for each in facts["assets"]] == ["steps.pages.assets", "steps.pages.assets.owner"]
    assert facts["successions"][0]["remarks"][0]["code"] == "no_successor"
    assert [each["part"] for each in facts["mails"]] == ["mail.admins", "mail.recipients[0]"]


async def test_the_sandbox_s_plan_is_fine_and_its_services_are_only_read(sandbox: Sandbox) -> None:
    ada = sandbox.add_person(org="engines", roles=("author",), documents=3)
    sandbox.add_person(org="engines", roles=("admin",))
    seen_before = {name: len(service.requests()) for name, service in sandbox.services.items()}
    result = await _retire("plan", "try", str(TEAM_PLAN), "--user", ada.user_id)
    assert result.exit_code == ExitCode.OK, result.output
    assert "owns 3\n" in result.stdout
    assert "✓ successors.colleague: the first candidate who will do would take over" in result.stdout
    asked = {
        (request.method, request.path)
        for name, service in sandbox.services.items()
        for request in service.requests()[seen_before[name] :]
    }
    assert {method for method, path in asked if path != "/oauth/token"} == {"GET"}
    assert all(service.effects(ada) == [] for service in sandbox.services.values())


async def _retire(*arguments: str) -> Any:
    """The command, in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), prog_name="retire")
