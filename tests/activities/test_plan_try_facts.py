"""A trial reads facts over all their pages, and works out what the rules make of them."""

from typing import Any

import pytest

from tests.support.http_service import Reply
from tests.support.trials import Document, Forum, a_document, codes, told, tried


async def test_facts_are_read_over_all_pages_and_rules_are_worked_out(forum: Forum) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        fact = {"service": "forum", "request": request, "items": "body.all", "next_page": "body.next"}
        document["facts"] = {"peers": fact}
        document["eligibility"] = [
            {"refuse_if": "facts.peers | length == 3", "code": "one_of_three"},
            {"refuse_if": "facts.peers | length == 1", "code": "the_only_one"},
            {"refuse_if": "facts.peers | length", "code": "no_comparison"},
            {"refuse_if": "subject.rank > 3", "code": "broken"},
        ]
        document["claims"] = ["role:{{ subject.roles[0] }}", {"key": "x", "when": "facts_of_nobody"}]
        each = {"key": "role:{{ item }}", "each": "subject.roles + ['reader']"}
        document["claims"] += [each, each | {"each": "[]"}, each | {"each": "subject.email"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body={"all": [1, 2], "next": "/authors?page=2"}))
    forum.service.on("GET", "/authors?page=2", Reply(body={"all": [3], "next": None}))
    findings = await tried(a_document(change))
    (fact,) = findings.facts
    assert [(each.name, each.kind) for each in fact.reads] == [("peers", "list of 3, over 2 pages")]
    assert fact.remarks == ()
    said = {each.part: (each.says, [remark.code for remark in each.remarks]) for each in findings.rulings}
    assert said == {
        "eligibility.one_of_three": ("would refuse", ["would_refuse"]),
        "eligibility.the_only_one": ("would not refuse", []),
        "eligibility.no_comparison": ("would refuse", ["no_truth", "would_refuse"]),
        "eligibility.broken": ("can't be worked out", ["rule_broken"]),
        "claims.0": ("would claim role:{{ subject.roles[0] }}", []),
        "claims.1": ("can't be worked out", ["rule_broken"]),
        "claims.2": ("would claim role:{{ item }}, 2 in all", []),
        "claims.3": ("would claim nothing", []),
        "claims.4": ("can't be worked out", ["rule_broken"]),
    }
    assert "countess" not in told(findings)
    [no_list] = findings.rulings[-1].remarks
    assert no_list.what == "claims.4 has an `each` that is no list."
    shown = await tried(a_document(change), show_values=True)
    assert [each.says for each in shown.rulings if each.part == "claims.2"] == [
        "would claim role:countess, role:reader"
    ]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"all": [1], "next": "/authors?page=2"}, {}, ["more_pages"]),
        ({"all": [1]}, {"link": '</authors?page=2>; rel="next"'}, ["more_pages"]),
        ({"all": [1], "next": None}, {"link": '</authors?page=1>; rel="prev"'}, []),
    ],
)
async def test_a_next_page_that_the_plan_does_not_read_is_told(
    forum: Forum, body: Any, headers: dict[str, str], expected: list[str]
) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        document["facts"] = {"peers": {"service": "forum", "request": request, "items": "body.all"}}
        document["eligibility"] = [{"refuse_if": "facts.peers | length > 3", "code": "too_many"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body=body, headers=headers))
    findings = await tried(a_document(change))
    assert codes(findings.facts[0]) == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"all": {}}, "items_no_list"),
        ({"all": [], "next": "https://elsewhere.example/"}, "next_page_foreign"),
        ({"all": [], "next": "/authors?role=countess"}, "pages_in_a_circle"),
        ({"every": []}, "field_missing"),
    ],
)
async def test_a_fact_that_can_t_be_read_is_told_with_its_reason(forum: Forum, body: Any, code: str) -> None:
    def change(document: Document) -> None:
        request = {"method": "GET", "path": "/authors", "query": {"role": "{{ subject.roles[0] }}"}}
        fact = {"service": "forum", "request": request, "items": "body.all", "next_page": "body.next"}
        document["facts"] = {"peers": fact}
        document["eligibility"] = [{"refuse_if": "facts.peers | length == 3", "code": "one_of_three"}]

    forum.service.on("GET", "/authors?role=countess", Reply(body=body))
    findings = await tried(a_document(change))
    assert codes(findings.facts[0]) == [code]
    assert findings.rulings[0].says == "can't be worked out without facts.peers"
