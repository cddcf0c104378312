"""The plan's rules and claims, worked out for one person: tables of what is refused, and what is claimed."""

from typing import Any

import pytest

from activities.eligibility import RuleBroken, claimed, refusals
from plans.model import Claim, Plan, Rule

ADA = {"org": "o-7", "roles": ["member", "admin"], "balance": 0, "name": "Ada Lovelace", "suspended": False}


def known(*, facts: dict[str, Any] | None = None, tenant: str | None = None, **subject: Any) -> dict[str, Any]:
    """What rules and claims may name."""
    return {"user_id": "u-1", "tenant": tenant, "subject": ADA | subject, "facts": facts or {}}


def rules(*written: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(refuse_if=refuse_if, code=code) for refuse_if, code in written)


SOLE_ADMIN = "'admin' in subject.roles and facts.admins | length == 1"


@pytest.mark.parametrize(
    ("refuse_if", "context", "refused"),
    [
        # The last of a kind.
        (SOLE_ADMIN, known(facts={"admins": [{"id": "u-1"}]}), True),
        (SOLE_ADMIN, known(facts={"admins": [{"id": "u-1"}, {"id": "u-2"}]}), False),
        (SOLE_ADMIN, known(facts={"admins": [{"id": "u-1"}]}, roles=["member"]), False),
        (SOLE_ADMIN, known(facts={"admins": []}), False),
        # Among others: who else is there, and is not suspended?
        (
            "facts.admins | rejectattr('id', 'equalto', user_id) | rejectattr('locked') | list | length == 0",
            known(facts={"admins": [{"id": "u-1", "locked": False}, {"id": "u-2", "locked": True}]}),
            True,
        ),
        (
            "facts.admins | rejectattr('id', 'equalto', user_id) | rejectattr('locked') | list | length == 0",
            known(facts={"admins": [{"id": "u-1", "locked": False}, {"id": "u-2", "locked": False}]}),
            False,
        ),
        # Numbers, flags, absent facts.
        ("subject.balance > 0", known(balance=0.01), True),
        ("subject.balance > 0", known(), False),
        ("subject.suspended", known(suspended=True), True),
        ("not subject.suspended", known(), True),
        ("facts.contract is not none and facts.contract.open", known(facts={"contract": None}), False),
        ("facts.contract is not none and facts.contract.open", known(facts={"contract": {"open": True}}), True),
        ("facts.invoices", known(facts={"invoices": []}), False),
        ("facts.invoices", known(facts={"invoices": [1]}), True),
        # Who it is, and whose.
        ("user_id in ['root', 'u-1']", known(), True),
        ("tenant == 'acme'", known(tenant="acme"), True),
        ("tenant is none", known(), True),
        # Bare or in braces; a text is never run.
        ("{{ subject.balance > 0 }}", known(balance=2), True),
        ("subject.name == 'x'", known(name="{{ 1 == 1 }}"), False),
    ],
)
def test_a_rule_refuses_or_not(refuse_if: str, context: dict[str, Any], refused: bool) -> None:
    assert refusals(rules((refuse_if, "code")), context) == (("code",) if refused else ())


def test_every_code_that_refuses_is_named_once_in_the_plan_s_order() -> None:
    written = rules(("true", "unpaid"), ("false", "never"), ("subject.roles", "sole_admin"), ("true", "unpaid"))
    assert refusals(written, known()) == ("unpaid", "sole_admin")
    assert refusals((), known()) == ()


@pytest.mark.parametrize(
    ("refuse_if", "code"),
    [
        ("subject.department == 'x'", "value_missing"),
        ("facts.admins | length == 1", "value_missing"),
        ("facts.admins[3].id == 'x'", "value_missing"),
        ("subject.balance / 0 > 1", "bad_template"),
        ("subject.name > 3", "bad_template"),
        ("().__class__.__mro__", "bad_template"),
    ],
)
def test_a_rule_that_fails_is_told_by_its_code_and_shows_no_value(refuse_if: str, code: str) -> None:
    """It refuses nobody: what can't be worked out must not count as "may go"."""
    with pytest.raises(RuleBroken) as caught:
        refusals(rules(("false", "first"), (refuse_if, "second"), ("true", "third")), known())
    assert caught.value.code == f"eligibility.second:{code}"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert "Lovelace" not in repr(caught.value)


@pytest.mark.parametrize(
    ("claims", "context", "wanted"),
    [
        ((), known(), ()),
        ((Claim(key="org-admin:{{ subject.org }}"),), known(), ("org-admin:o-7",)),
        ((Claim(key="admin", when="'admin' in subject.roles"),), known(), ("admin",)),
        ((Claim(key="admin", when="'admin' in subject.roles"),), known(roles=["member"]), ()),
        ((Claim(key="{{ subject.missing }}", when="false"),), known(), ()),
        ((Claim(key="b"), Claim(key="a"), Claim(key="{{ 'b' }}")), known(), ("b", "a")),
        ((Claim(key="{{ user_id }}:{{ subject.balance }}:{{ subject.suspended }}"),), known(), ("u-1:0:false",)),
        ((Claim(key="{{ subject.name }}"),), known(name="{{ user_id }}"), ("{{ user_id }}",)),
        # For each of a list, every time with all that is known besides.
        ((Claim(key="{{ subject.org }}:{{ item }}", each="subject.roles"),), known(), ("o-7:member", "o-7:admin")),
        ((Claim(key="team:{{ item }}", each="{{ subject.roles }}"),), known(roles=[7, "x", 7]), ("team:7", "team:x")),
        ((Claim(key="team:{{ item.id }}", each="subject.roles"),), known(roles=[{"id": "x"}]), ("team:x",)),
        ((Claim(key="{{ item }}", each="subject.roles"),), known(roles=["{{ user_id }}"]), ("{{ user_id }}",)),
        ((Claim(key="{{ item }}", each="[subject.org, user_id]"),), known(), ("o-7", "u-1")),
        ((Claim(key="{{ item }}", each="subject.roles | select('ne', 'admin')"),), known(), ("member",)),
        ((Claim(key="{{ item }}", each="subject.roles"), Claim(key="admin")), known(), ("member", "admin")),
        ((Claim(key="{{ item }}", each="subject.roles", when="item == 'admin'"),), known(), ("admin",)),
        ((Claim(key="{{ item }}", each="subject.roles", when="subject.suspended"),), known(), ()),
        # Of nothing, nothing, whatever the key would need.
        ((Claim(key="{{ subject.missing }}", each="subject.roles"),), known(roles=[]), ()),
        (
            (Claim(key="{{ item }}", each="subject.roles"),),
            known(roles=list(range(1000))),
            tuple(map(str, range(1000))),
        ),
    ],
)
def test_what_is_claimed(claims: tuple[Claim, ...], context: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert claimed(claims, context) == wanted


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        (Claim(key="org:{{ subject.department }}"), "value_missing"),
        (Claim(key="org:{{ tenant }}"), "value_missing"),
        (Claim(key="org:{{ subject.roles }}"), "unsafe_value"),
        (Claim(key="org", when="subject.department"), "value_missing"),
        (Claim(key="org:{{ 1 / 0 }}"), "bad_template"),
        (Claim(key="team:{{ item }}", each="subject.name"), "each_no_list"),
        (Claim(key="team:{{ item }}", each="subject.balance"), "each_no_list"),
        (Claim(key="team:{{ item }}", each="none"), "each_no_list"),
        (Claim(key="team:{{ item }}", each="{'a': 1}"), "each_no_list"),
        (Claim(key="team:{{ item }}", each="subject.teams"), "value_missing"),
        (Claim(key="team:{{ item }}", each="[subject.org, none]"), "value_missing"),
        (Claim(key="team:{{ item }}", each="[subject.roles]"), "unsafe_value"),
        (Claim(key="team:{{ item }}", each="[{'id': subject.org}]"), "unsafe_value"),
        (Claim(key="team:{{ item.id }}", each="subject.roles"), "value_missing"),
        (Claim(key="team:{{ item }}", each="subject.roles", when="item > 3"), "bad_template"),
        (Claim(key="team:{{ item }}"), "value_missing"),
        (Claim(key="team:{{ item }}", each="range(1001) | list"), "too_many_items"),
    ],
)
def test_a_claim_that_can_not_be_named_is_told(claim: Claim, code: str) -> None:
    """Claimed under half a name, it would be another one's."""
    with pytest.raises(RuleBroken) as caught:
        claimed((claim,), known())
    assert caught.value.code == f"claims:{code}"
    assert "Lovelace" not in repr(caught.value) and caught.value.__cause__ is None


def test_a_claim_may_be_written_short() -> None:
    plan = Plan.model_validate(
        {
            "plan": "acme",
            "subject": {"lookup": {"service": "a", "request": {"method": "GET", "path": "/"}}},
            "claims": ["org:{{ subject.org }}", {"key": "x", "when": "subject.suspended"}],
            "services": {"a": {"base_url": "http://127.0.0.1"}},
            "steps": {},
        }
    )
    assert plan.claims == (Claim(key="org:{{ subject.org }}"), Claim(key="x", when="subject.suspended"))
    assert claimed(plan.claims, known()) == ("org:o-7",)
