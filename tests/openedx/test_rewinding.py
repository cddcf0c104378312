"""To which state a stopped learner goes back: never into one where a step is at work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.mirroring.chain import Chain
from openedx.rewinding import NoTarget, target_before, target_behind, target_of
from tests.openedx.sites import an_imported_plan, chain_in


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A pipeline of four steps."""
    return chain_in(an_imported_plan(tmp_path_factory.mktemp("plan")))


@pytest.mark.parametrize(
    ("last_state", "target"),
    [
        ("PENDING", "PENDING"),
        ("RETIRING_EMAIL_LISTS", "PENDING"),
        ("EMAIL_LISTS_COMPLETE", "EMAIL_LISTS_COMPLETE"),
        ("RETIRING_ENROLLMENTS", "EMAIL_LISTS_COMPLETE"),
        ("RETIRING_LMS_MISC", "ENROLLMENTS_COMPLETE"),
        ("RETIRING_LMS", "LMS_MISC_COMPLETE"),
        ("LMS_COMPLETE", "LMS_COMPLETE"),
    ],
)
def test_it_goes_back_to_the_end_of_the_step_before(chain: Chain, last_state: str, target: str) -> None:
    assert target_of(chain, last_state=last_state) == target


@pytest.mark.parametrize("last_state", ["ERRORED", "ABORTED", "COMPLETE", "RETIRING_NOTES", "NOTES_COMPLETE", ""])
def test_where_the_row_does_not_tell_the_steps_are_named(chain: Chain, last_state: str) -> None:
    steps = ", ".join(step for step, _ in chain.steps)
    with pytest.raises(NoTarget, match=f"name the step to go on from: {steps}"):
        target_of(chain, last_state=last_state)


def test_a_step_may_be_named_to_go_on_with_or_behind(chain: Chain) -> None:
    first, second, *_, last = [step for step, _ in chain.steps]
    assert target_before(chain, step=first) == "PENDING"
    assert target_before(chain, step=second) == target_behind(chain, step=first) == "EMAIL_LISTS_COMPLETE"
    assert target_behind(chain, step=last) == "LMS_COMPLETE"
    for unknown in (target_before, target_behind):
        with pytest.raises(KeyError):
            unknown(chain, step="no_such_step")


@given(data=st.data())
def test_no_target_is_a_state_of_work(chain: Chain, data: st.DataObject) -> None:
    state = data.draw(st.sampled_from([*chain.states[:-1]]))
    step = data.draw(st.sampled_from([step for step, _ in chain.steps]))
    for target in (
        target_of(chain, last_state=state),
        target_before(chain, step=step),
        target_behind(chain, step=step),
    ):
        assert chain.working_on(target) is None and target in chain.states
