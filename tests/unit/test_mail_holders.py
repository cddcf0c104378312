"""Who lets go of the vault without a mail: audiences that come to an end untold."""

from datetime import timedelta
from typing import Any

import pytest

from workflows.mailing import Mailing
from workflows.messages import OpenedCase, PlanOutline, StepOutline
from workflows.names import Audience, Mail
from workflows.state import RetirementState

HAND_OVER = (StepOutline(id="documents", has_assets=True),)
EVERYBODY: dict[str, Any] = {"mails": True, "operators": True, "admins": True, "recipients": True}


def mailing(*, resumed: bool = False, transfer: tuple[StepOutline, ...] = HAND_OVER, **told: bool) -> Mailing:
    """The mails of a run whose plan tells these."""
    outline = PlanOutline(
        plan="acme",
        digest="d",
        cool_off=timedelta(0),
        longest_cool_off=timedelta(0),
        transfer=transfer,
        **told,  # type: ignore[arg-type]  # All of them are flags.
    )
    return Mailing(state=RetirementState(case=OpenedCase(retirement_id="r-1", outline=outline, resumed=resumed)))


@pytest.mark.parametrize(
    ("mails", "untold"),
    [
        ((Mail.COMPLETE, Mail.HANDOVER, Mail.DISCLOSED), ()),
        ((Mail.RESCINDED,), ("admins", "recipients")),
        ((Mail.ABORTED, Mail.NO_SUCCESSOR), ("recipients",)),
        ((Mail.ERRORED,), ("mail", "admins", "recipients")),
    ],
)
def test_whoever_gets_no_mail_lets_go_at_the_end(mails: tuple[Mail, ...], untold: tuple[str, ...]) -> None:
    assert mailing(**EVERYBODY).holders_without(mails) == untold


def test_where_nothing_is_handed_over_admins_let_go_untold() -> None:
    ends = (Mail.COMPLETE, Mail.HANDOVER, Mail.DISCLOSED)
    assert mailing(transfer=(), **EVERYBODY).holders_without(ends) == ("admins",)


def test_whom_the_plan_doesn_t_tell_never_held_anything_but_in_an_earlier_run_by_another_plan() -> None:
    ends = (Mail.COMPLETE, Mail.HANDOVER, Mail.DISCLOSED)
    assert mailing(mails=True).holders_without(ends) == ()
    assert mailing(mails=True, resumed=True).holders_without(ends) == ("admins", "recipients")


def test_every_mail_has_an_audience_and_operators_hold_nothing() -> None:
    of_operators = {mail for mail in Mail if mail.audience is Audience.OPERATORS}
    assert of_operators == {Mail.ERRORED, Mail.HELD, Mail.DEADLINE, Mail.WORK_FAILED}
    assert "operators" not in mailing(resumed=True).holders_without(())
