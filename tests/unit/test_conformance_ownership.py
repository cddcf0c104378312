"""`retire conformance` and what is handed over: steps that it can't judge are refused, with what to do instead."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from activities.actions.dispatch import Actions
from activities.opening import pseudonym_of
from plans.defaults import with_defaults
from plans.model import Plan
from starter.conformance.bench import Bench
from starter.conformance.deeds import Person
from starter.conformance.target import BadTarget, target_in
from starter.exchanges import Exchanges
from starter.exit_codes import ExitCode
from starter.main import app
from tests.support.plans import TEAM_PLAN


def a_plan() -> dict[str, Any]:
    return yaml.safe_load(TEAM_PLAN.read_text())  # type: ignore[no-any-return]


def test_a_transfer_step_is_refused_with_what_to_do_instead() -> None:
    arguments = ["conformance", str(TEAM_PLAN), "--step", "documents", "--user", "test-1", "--yes"]
    result = CliRunner().invoke(app, arguments, prog_name="retire")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    told = " ".join(result.stderr.replace("│", " ").split())
    assert "the step documents hands something over" in told
    assert "`retire plan try FILE --user ID`" in told and "`retire start ID --cool-off 0s --wait`" in told


def test_an_erase_step_that_names_who_takes_over_is_refused_too() -> None:
    document = a_plan()
    document["steps"]["profile"]["successor"] = "colleague"
    plan = with_defaults(Plan.model_validate(document))
    with pytest.raises(BadTarget, match="the step profile hands something over"):
        target_in(plan, step_id="profile")
    assert target_in(plan, step_id="forum").step_id == "forum"


def test_a_request_may_name_the_pseudonym_and_nobody_has_one_of_their_own() -> None:
    target = target_in(with_defaults(Plan.model_validate(a_plan())), step_id="forum")
    ada = Person(number=1, user_id="test-1", is_there=True)
    actions = Exchanges(Actions(version="0.test"))
    bench = Bench(target=target, action=actions, people=[ada], frozen=None, tenant=None, within=timedelta(minutes=1))
    assert bench.context(ada)["pseudonym"] == pseudonym_of(ada.retirement_id)
    nobody = bench.nobody()
    assert nobody["pseudonym"] == pseudonym_of(nobody["retirement_id"]) != pseudonym_of(ada.retirement_id)
