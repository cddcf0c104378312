"""Who may not go, or not both at once: rules over facts that services tell, and claims that only one can have."""

import asyncio
import secrets
from datetime import timedelta

from ledger.rows import CaseState
from sandbox.client import Person
from sandbox.faults import FaultKind
from starter.exit_codes import ExitCode
from tests.support.commands import a_shell, settings_in
from tests.support.plans import PlanDocument, admins_stay, all_of, brisk
from tests.support.races import a_short_plan
from tests.support.stage import Retirement, Stage
from workflows import names
from workflows.messages import Result
from workflows.names import Outcome, Phase, Reason

_COOL_OFF = timedelta(days=14)


def a_plan(stage: Stage) -> str:
    return stage.plan("admins-stay", all_of(admins_stay, brisk))


def a_role() -> str:
    """A role that nobody else has: the sandbox's people are those of all tests."""
    return f"admin-{secrets.token_hex(4)}"


def forbid(stage: Stage, role: str, *, times: int | None) -> None:
    """Asking who has a role fails."""
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=500, path_prefix=f"/roles/{role}", times=times)


def asked_for(stage: Stage, role: str) -> int:
    """How often somebody asked who has a role."""
    return len([request for request in stage.sandbox.accounts.requests() if request.path == f"/roles/{role}/users"])


def last_mail(stage: Stage, person: Person) -> str:
    mail = stage.sandbox.mailbox.mails(person)[-1]
    return " ".join(f"{mail['subject']}: {mail['text']}".split())


async def aborted(run: Retirement) -> tuple[Reason | None, str | None]:
    result = await run.result()
    assert result.outcome is Outcome.ABORTED, result
    return result.reason, result.code


async def last_two(stage: Stage, role: str) -> tuple[Person, Person, Result]:
    """Two admins; the retirement of the first has stopped past the point of no return, and so has the claim."""
    ada, bob = (stage.sandbox.add_person(roles=(role,)) for _ in range(2))
    stage.sandbox.forum.misbehave(FaultKind.STATUS, status=400, user=ada, method="DELETE")
    errored = await (await stage.start(ada, plan=a_plan(stage), cool_off="0")).errored()
    return ada, bob, errored


# --- rules ---------------------------------------------------------------------------------------------------------------


async def test_the_sole_admin_is_refused_before_anything_is_touched_and_told_why(stage: Stage) -> None:
    ada = stage.sandbox.add_person(roles=(a_role(),))
    session = stage.sandbox.accounts.log_in(ada)
    run = await stage.start(ada, plan=a_plan(stage))
    assert await aborted(run) == (Reason.NOT_ELIGIBLE, "sole_admin")
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert session is not None and stage.sandbox.accounts.is_session(session)
    assert {request.method for request in stage.sandbox.accounts.requests(ada)} == {"GET"}
    assert stage.sandbox.forum.requests(ada) == [], "no probe was asked"

    told = last_mail(stage, ada)
    assert told.startswith("Your account was not deleted: ")
    assert "Something has to be settled first, for example who takes over a role that only you have." in told
    assert "sole_admin" not in told and "not_eligible" not in told

    case = await stage.case_of(ada)
    assert (case.state, case.outcome, case.reason, case.code) == (
        CaseState.CLOSED,
        Outcome.ABORTED,
        Reason.NOT_ELIGIBLE,
        "sole_admin",
    )
    assert stage.vault_rows(case.retirement_id) == 0
    assert await run.attribute(names.REASON_ATTRIBUTE) == "not_eligible"


async def test_every_rule_that_refuses_is_named(stage: Stage) -> None:
    ada = stage.sandbox.add_person(roles=(a_role(), "debtor"))
    run = await stage.start(ada, plan=a_plan(stage))
    assert await aborted(run) == (Reason.NOT_ELIGIBLE, "sole_admin, unpaid")


async def test_facts_are_counted_over_all_pages(stage: Stage) -> None:
    role = a_role()
    people = [Person(roles=(role,)) for _ in range(21)]
    stage.sandbox.accounts.add_people(people)
    assert await aborted(await stage.start(people[0], plan=a_plan(stage))) == (Reason.NOT_ELIGIBLE, "twenty_one")
    assert asked_for(stage, role) == 2, "twenty are on a page"


async def test_whoever_becomes_the_last_admin_in_the_cool_off_gets_the_account_back(stage: Stage) -> None:
    role = a_role()
    ada, bob = (stage.sandbox.add_person(roles=(role,)) for _ in range(2))
    run = await stage.start(ada, plan=a_plan(stage), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    faster = await stage.start(bob, plan=a_plan(stage), cool_off="0")
    assert (await faster.result()).outcome is Outcome.COMPLETE
    await run.skip(_COOL_OFF)
    assert await aborted(run) == (Reason.NOT_ELIGIBLE, "sole_admin")
    assert stage.sandbox.accounts.effects_on(ada) == ["lock", "unlock"]
    assert stage.sandbox.forum.effects_on(ada) == ["mute", "unmute"]
    assert stage.sandbox.accounts.can_log_in(ada)
    assert "what we had locked is open again" in last_mail(stage, ada)


async def test_a_rescind_wins_over_a_rule_that_would_refuse(stage: Stage) -> None:
    role = a_role()
    ada, bob = (stage.sandbox.add_person(roles=(role,)) for _ in range(2))
    run = await stage.start(ada, plan=a_plan(stage), running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    await (await stage.start(bob, plan=a_plan(stage), cool_off="0")).result()
    assert (await run.ask(names.RESCIND)).accepted
    assert await aborted(run) == (Reason.RESCINDED, None)


# --- facts ---------------------------------------------------------------------------------------------------------------


async def test_facts_that_can_not_be_told_now_are_asked_again(stage: Stage) -> None:
    role = a_role()
    ada, _ = (stage.sandbox.add_person(roles=(role,)) for _ in range(2))
    forbid(stage, role, times=2)
    run = await stage.start(ada, plan=a_plan(stage), cool_off="0")
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert asked_for(stage, role) == 3


async def test_facts_that_nobody_tells_abort_and_say_which(stage: Stage) -> None:
    def hasty(document: PlanDocument) -> None:
        document["facts"]["admins"]["patience"] = "400ms"

    role = a_role()
    ada, _ = (stage.sandbox.add_person(roles=(role,)) for _ in range(2))
    forbid(stage, role, times=None)
    plan = stage.plan("hasty-facts", all_of(admins_stay, brisk, hasty))
    run = await stage.start(ada, plan=plan, running_clock=True)
    assert await aborted(run) == (Reason.LOOKUP_FAILED, "facts.admins:http_500")
    assert asked_for(stage, role) >= 5
    assert stage.sandbox.accounts.effects_on(ada) == []
    assert last_mail(stage, ada).startswith("Your account was not deleted: ")


# --- claims --------------------------------------------------------------------------------------------------------------


async def test_of_the_last_two_admins_at_the_same_instant_exactly_one_goes(stage: Stage) -> None:
    plan = stage.plan("last-two", all_of(a_short_plan, admins_stay))
    pairs = []
    for _ in range(10):
        role = a_role()
        pairs.append([Person(roles=(role,)) for _ in range(2)])
    stage.sandbox.add_people([person for pair in pairs for person in pair], at=("accounts", "forum"))

    async def retire(person: Person) -> Result:
        return await (await stage.start(person, plan=plan, cool_off="0")).result()

    results = await asyncio.gather(*(retire(person) for pair in pairs for person in pair))
    ended = list(zip([person for pair in pairs for person in pair], results, strict=True))
    reasons = set()
    for pair in zip(ended[::2], ended[1::2], strict=True):
        [(gone, _)] = [each for each in pair if each[1].outcome is Outcome.COMPLETE]
        [(stayed, lost)] = [each for each in pair if each[1].outcome is Outcome.ABORTED]
        reasons.add(lost.reason)
        assert stage.sandbox.accounts.kept(gone) is None
        assert stage.sandbox.accounts.can_log_in(stayed), lost
        assert stage.sandbox.accounts.effects_on(stayed) in ([], ["lock", "unlock"])
        kept = stage.sandbox.forum.kept(stayed)
        assert kept is not None and kept["mutes"] == []
    assert Reason.CLAIM_LOST in reasons and reasons <= {Reason.CLAIM_LOST, Reason.NOT_ELIGIBLE}


def owners_stay(document: PlanDocument) -> None:
    """Every role `owner-of-…` is a team; none of the two that a person owns may lose its last owner."""
    document["facts"] = {
        f"owners_{number}": {
            "service": "accounts",
            "request": {"method": "GET", "path": f"/roles/{{{{ subject.roles[{number}] }}}}/users"},
            "items": "body.users",
            "next_page": "body.next",
        }
        for number in (1, 2)
    }
    alone = "facts.owners_1 | length == 1 or facts.owners_2 | length == 1"
    document["eligibility"] = [{"refuse_if": alone, "code": "sole_owner"}]
    document["claims"] = [
        {"each": "subject.roles", "when": "item.startswith('owner-of-')", "key": "team-owner:{{ item }}"}
    ]


async def test_of_a_team_s_last_two_owners_exactly_one_goes_whatever_else_they_own(stage: Stage) -> None:
    """Whoever shares no team with them goes, though all have a role in common that is no team."""
    plan = stage.plan("last-owners", all_of(a_short_plan, owners_stay))

    def owner_of(*teams: str) -> Person:
        return Person(roles=("member", *(f"owner-of-{team}" for team in teams)))

    groups = []
    for _ in range(3):
        contested, *others = (secrets.token_hex(4) for _ in range(5))
        stays = [owner_of(*others[:2]), owner_of(*others[2:])]
        goes = [owner_of(others[0], contested), owner_of(contested, others[1]), owner_of(*others[2:])]
        stage.sandbox.add_people([*stays, *goes], at=("accounts", "forum"))
        groups.append(goes)

    async def retire(person: Person) -> Result:
        return await (await stage.start(person, plan=plan, cool_off="0")).result()

    ended = await asyncio.gather(*(asyncio.gather(*map(retire, goes)) for goes in groups))
    reasons = set()
    for goes, (*contesting, apart) in zip(groups, ended, strict=True):
        assert apart.outcome is Outcome.COMPLETE, apart
        assert sorted(each.outcome for each in contesting) == [Outcome.ABORTED, Outcome.COMPLETE]
        for person, result in zip(goes, contesting, strict=False):
            if result.outcome is Outcome.ABORTED:
                reasons.add(result.reason)
                assert stage.sandbox.accounts.can_log_in(person), result
            else:
                assert stage.sandbox.accounts.kept(person) is None
    assert Reason.CLAIM_LOST in reasons and reasons <= {Reason.CLAIM_LOST, Reason.NOT_ELIGIBLE}


async def test_a_lost_claim_is_told_and_another_try_is_judged_by_what_is_left(stage: Stage) -> None:
    ada, bob, errored = await last_two(stage, a_role())
    lost = await stage.start(bob, plan=a_plan(stage), cool_off="0")
    assert await aborted(lost) == (Reason.CLAIM_LOST, None)
    assert stage.sandbox.accounts.effects_on(bob) == ["lock", "unlock"]
    assert stage.sandbox.accounts.can_log_in(bob)
    case = await stage.case_of(bob)
    assert (case.state, case.reason) == (CaseState.CLOSED, Reason.CLAIM_LOST)
    assert await lost.attribute(names.REASON_ATTRIBUTE) == "claim_lost"
    told = last_mail(stage, bob)
    assert "Another change came first" in told and "what we had locked is open again" in told

    resumed = await stage.start(ada, plan=a_plan(stage), resume=errored.retirement_id)
    assert (await resumed.result()).outcome is Outcome.COMPLETE
    again = await stage.start(bob, plan=a_plan(stage), cool_off="0")
    assert await aborted(again) == (Reason.NOT_ELIGIBLE, "sole_admin"), "the claim is free, but bob is the last"


async def test_a_claim_that_is_not_needed_blocks_nobody(stage: Stage) -> None:
    role = a_role()
    await last_two(stage, role)
    member = stage.sandbox.add_person(roles=(f"member-of-{role}",))
    elsewhere, _ = (stage.sandbox.add_person(roles=(f"admin-of-{role}",)) for _ in range(2))
    for person in (member, elsewhere):
        run = await stage.start(person, plan=a_plan(stage), cool_off="0")
        assert (await run.result()).outcome is Outcome.COMPLETE


async def test_a_rescind_sent_while_the_claim_is_being_lost_changes_nothing(stage: Stage) -> None:
    """It comes after the decision, and the account is given back all the same."""
    _, bob, _ = await last_two(stage, a_role())
    unlock = f"/users/{bob.user_id}/unlock"
    stage.sandbox.accounts.misbehave(FaultKind.STATUS, status=503, path_prefix=unlock, times=2)
    run = await stage.start(bob, plan=a_plan(stage), cool_off="0", running_clock=True)
    status = await run.reaches(Phase.GOING_BACK)
    assert status.may_rescind and status.gone == ()
    assert (await run.ask(names.RESCIND)).accepted
    assert await aborted(run) == (Reason.CLAIM_LOST, None)
    assert stage.sandbox.accounts.can_log_in(bob)


# --- what support and operators see --------------------------------------------------------------------------------------


async def test_the_command_says_what_stood_in_the_way(stage: Stage) -> None:
    address = stage.client.service_client.config.target_host
    retire = a_shell(settings_in(stage.settings.keys_file.parent, address=address, namespace=stage.client.namespace))
    plan = a_plan(stage)
    ada = stage.sandbox.add_person(roles=(a_role(), "debtor"))
    _, bob, _ = await last_two(stage, a_role())
    refused, lost = await asyncio.gather(
        retire("start", ada.user_id, "--plan", plan, "--cool-off", "0", "--wait"),
        retire("start", bob.user_id, "--plan", plan, "--cool-off", "0", "--wait", "--json"),
    )
    assert (refused.code, lost.code) == (ExitCode.ABORTED, ExitCode.ABORTED)
    assert refused.stdout.startswith("ABORTED (not_eligible: sole_admin, unpaid)  r-")
    assert (lost.facts["reason"], lost.facts["code"]) == ("claim_lost", None)
