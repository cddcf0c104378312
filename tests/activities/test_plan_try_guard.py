"""A trial changes nothing: what may change something is not asked."""

import pytest

from activities.actions.action import Call
from activities.actions.dispatch import Actions
from plans.model import Plan
from starter.trial.guard import OnlyReads, WouldChange
from tests.support.http_service import Received, Reply
from tests.support.trials import USER, Document, Forum, a_document, codes, probe_of, tried


async def test_a_probe_that_posts_is_asked_only_on_request(forum: Forum) -> None:
    def change(document: Document) -> None:
        probe_of(document)["request"] = {"method": "POST", "path": "/authors/search", "json": {"id": "{{ user_id }}"}}

    def search(received: Received) -> Reply:
        if received.method == "POST":
            return Reply(body=forum.author) if received.json["id"] == USER else Reply(status=404)
        return forum.answer(received)

    forum.service.otherwise(search)
    findings = await tried(a_document(change))
    assert forum.service.calls("POST") == []
    assert [each.why for each in findings.not_asked if not each.changes] == [
        "by its form it may change something; --ask-post asks it, too"
    ]
    findings = await tried(a_document(change), ask_post=True)
    assert len(forum.service.calls("POST")) == 2
    assert findings.remarks() == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
async def test_what_a_step_asks_for_is_never_asked_even_where_a_probe_asks_the_same(forum: Forum, method: str) -> None:
    def change(document: Document) -> None:
        request = {"method": method, "path": "/authors/{{ user_id }}/erase"}
        document["steps"]["author"]["request"] = request
        probe_of(document)["request"] = dict(request)

    findings = await tried(a_document(change), ask_post=True)
    assert not [received for received in forum.service.received if received.target.endswith("/erase")]
    assert [each.part for each in findings.not_asked if not each.changes] == ["steps.author.probe"]


async def test_nothing_that_changes_passes_the_guard(forum: Forum) -> None:
    plan = Plan.model_validate(a_document())
    actions = Actions(version="0.test")
    guarded = OnlyReads(actions, plan=plan, ask_post=True)
    request = plan.steps["author"].request
    assert request is not None
    call = Call(service=plan.services["forum"], request=request, context={"user_id": USER})
    for ask in (guarded.call, guarded.is_route_known, lambda call: guarded.follow(call, url=forum.service.url)):
        with pytest.raises(WouldChange, match="a trial only reads, and DELETE"):
            await ask(call)
    await actions.close()
    assert forum.service.received == []


async def test_code_is_called_only_on_request_as_nobody_can_tell_what_it_does() -> None:
    def change(document: Document) -> None:
        document["services"]["forum"] = {"type": "python"}
        call = {"call": "find_author", "arguments": {"id": "{{ user_id }}"}}
        document["subject"]["lookup"]["request"] = call
        document["steps"]["author"] = {
            "phase": "erase",
            "service": "forum",
            "request": {"call": "erase_author", "arguments": {"id": "{{ user_id }}"}},
            "unprobed": "the archive can't be asked",
        }

    findings = await tried(a_document(change))
    assert (findings.lookup, findings.requests) == (None, 0)
    findings = await tried(a_document(change), ask_post=True)
    assert codes(findings.lookup) == ["call_unknown"]
    assert [(each.part, each.sent_as) for each in findings.not_asked] == [
        ("steps.author", 'call erase_author with {"id": •••}')
    ]
