"""plans/keycloak.yaml on a real Keycloak: what the person loses, and gets back, as Keycloak itself says it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.rows import StepAction
from tests.support.keycloak import Realm, Tokens, User
from tests.support.stage import Retirement, Stage
from tests.support.waiting import eventually
from workflows import names
from workflows.names import Outcome, Phase, Reason, StepResult

PRESET = Path(__file__).parents[2] / "plans" / "keycloak.yaml"

#: The first time on a machine Keycloak is fetched and built within the first test.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def retirements(stage: Stage, realm: Realm) -> AsyncIterator[Stage]:
    """A stage whose worker knows the preset, as it is."""
    (stage.settings.plans_dir / PRESET.name).write_bytes(PRESET.read_bytes())
    yield stage


async def in_cool_off(retirements: Stage, user: User, *, plan: str = PRESET.stem) -> Retirement:
    """A retirement that has frozen all there is to freeze."""
    run = await retirements.start(user.id, plan=plan, running_clock=True)
    await run.reaches(Phase.COOL_OFF)
    return run


async def rescind(run: Retirement) -> None:
    """Rescind, and see the end."""
    assert (await run.ask(names.RESCIND, by="support-7")).accepted
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.RESCINDED)


async def logged_in(realm: Realm, user: User, *, scope: str = "openid") -> Tokens:
    """The tokens of a login that works."""
    tokens = await realm.log_in(user, scope=scope)
    assert tokens is not None and await realm.refresh(tokens) is not None
    return tokens


async def test_a_user_is_shut_out_at_once_and_gone_at_the_end(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user()
    session = await logged_in(realm, ada)
    offline = await logged_in(realm, ada, scope="openid offline_access")
    run = await in_cool_off(retirements, ada)

    kept = await realm.kept(ada)
    assert kept is not None and kept["enabled"] is False
    assert await realm.log_in(ada) is None
    assert await realm.refresh(session) is None
    assert await realm.refresh(offline) is None

    await run.skip()
    result = await run.result()
    assert result.outcome is Outcome.COMPLETE
    assert {step.step: step.result for step in result.steps} == {
        "disable": "done",
        "sessions": "done",
        "user": "erased",
    }
    assert await realm.kept(ada) is None
    assert await realm.log_in(ada) is None
    received, *_, told = retirements.sandbox.mailbox.mails(ada.email)
    assert "Hello Ada Lovelace," in received["text"]
    assert told["subject"] == "Your account has been deleted"


async def test_whoever_rescinds_logs_in_again_and_has_lost_nothing(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user(attributes={"shoe_size": ["38"], "locale": ["de"], "tags": ["a", "b"]})
    session = await logged_in(realm, ada)
    before = await realm.kept(ada)
    run = await in_cool_off(retirements, ada)
    await rescind(run)
    assert unharmed(await realm.kept(ada)) == unharmed(before)
    assert await realm.credentials(ada) == ["password"]
    assert await realm.refresh(session) is None, "what was ended stays ended"
    await logged_in(realm, ada)


async def test_an_offline_token_of_before_is_worth_nothing_even_after_a_rescind(
    retirements: Stage, realm: Realm
) -> None:
    ada = await realm.add_user()
    offline = await logged_in(realm, ada, scope="openid offline_access")
    issued = int(time.time())

    def a_second_has_passed() -> None:
        assert int(time.time()) > issued, "Keycloak counts in seconds what is older than the end of the sessions"

    await eventually(a_second_has_passed)
    await rescind(await in_cool_off(retirements, ada))
    assert await realm.refresh(offline) is None
    await logged_in(realm, ada, scope="openid offline_access")


async def test_whoever_was_disabled_before_stays_disabled(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user(
        enabled=False,
        emailVerified=False,
        requiredActions=["UPDATE_PASSWORD", "VERIFY_EMAIL"],
        attributes={"shoe_size": ["38"]},
    )
    before = await realm.kept(ada)
    await rescind(await in_cool_off(retirements, ada))
    assert unharmed(await realm.kept(ada)) == unharmed(before)
    assert before is not None and before["enabled"] is False
    assert await realm.log_in(ada) is None


async def test_a_user_without_name_and_address_is_retired(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user(email=None, firstName=None, lastName=None)
    run = await retirements.start(ada.id, plan=PRESET.stem)
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert await realm.kept(ada) is None


async def test_whom_an_administrator_deleted_in_the_cool_off_has_nothing_left_to_give_back(
    retirements: Stage, realm: Realm
) -> None:
    ada = await realm.add_user()
    run = await in_cool_off(retirements, ada)
    await realm.delete(ada)
    await rescind(run)
    assert await realm.kept(ada) is None


async def test_nobody_of_that_id_is_told(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user()
    run = await retirements.start(ada.username, plan=PRESET.stem)
    result = await run.result()
    assert (result.outcome, result.reason) == (Outcome.ABORTED, Reason.NO_SUCH_SUBJECT)
    assert await realm.log_in(ada) is not None


async def test_a_user_who_breaks_the_realms_profile_is_left_as_they_were(retirements: Stage, realm: Realm) -> None:
    ada = await realm.add_user()
    session = await logged_in(realm, ada)
    before = await realm.kept(ada)
    async with realm.requiring("department"):
        run = await retirements.start(ada.id, plan=PRESET.stem)

        async def has_stopped() -> None:
            assert not await run.is_running()

        await eventually(has_stopped)
    case = await retirements.case_of(ada.id)
    steps = await retirements.ledger.steps(case.retirement_id)
    assert [(row.result, row.code) for row in steps if row.step == "disable" and row.action is StepAction.DO] == [
        (StepResult.FAILED, "http_400")
    ]
    assert "sessions" not in [row.step for row in steps]
    assert await realm.kept(ada) == before
    assert await realm.refresh(session) is not None


async def test_by_username_it_works_as_the_plan_says(retirements: Stage, realm: Realm) -> None:
    """The change that the comment at the plan's head describes."""
    ada = await realm.add_user()
    plan = yaml.safe_load(PRESET.read_text().replace("/users/{{ user_id }}", "/users/{{ subject.id }}"))
    lookup = plan["subject"]["lookup"]
    lookup["request"] = {"method": "GET", "path": "/users", "query": {"username": "{{ user_id }}", "exact": "true"}}
    fields = {name: text.replace("body", "body[0]") for name, text in lookup["fields"].items()}
    lookup |= {"fields": fields | {"id": "body[0].id"}, "patience": "1s"}
    plan["plan"] = "by-username"
    (retirements.settings.plans_dir / "by-username.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))

    nobody = await (await retirements.start(ada.id, plan="by-username")).result()
    assert (nobody.outcome, nobody.reason) == (Outcome.ABORTED, Reason.LOOKUP_FAILED)
    run = await retirements.start(ada.username, plan="by-username")
    assert (await run.result()).outcome is Outcome.COMPLETE
    assert await realm.kept(ada) is None


def unharmed(kept: dict[str, Any] | None) -> dict[str, Any]:
    """All that Keycloak keeps of somebody, but for when their sessions were ended last."""
    assert kept is not None
    return {name: value for name, value in kept.items() if name != "notBefore"}
