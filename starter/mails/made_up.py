"""Mails about a person who does not exist, built as the worker builds them. Names and texts are as bad as they come."""

from datetime import UTC, datetime, timedelta

from activities.mail_building import BuiltMail, build_mail
from activities.mail_templates import MailTemplates
from ledger.rows import Case, CaseState, StepAction, StepRow
from plans.model import Plan
from workflows.messages import SendMail
from workflows.names import Mail, Outcome, Reason, StepResult

_ID = "r-madeup0000000000000000000"
_BEGAN = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
_COOL_OFF_ENDS = _BEGAN + timedelta(days=14)
#: Long, in two scripts, with what html and headers have to quote, and a character that turns round what follows it.
_NAME = 'Wilhelmine "Made-up" Müller-Łukaszewicz & عائشة \u202epu-edam'
_GROUND = 'made-up law <b>§ 147</b> "General" & Co. \u202epu-edam'
_TOLD = {
    "forum_posts": StepResult.ERASED,
    "newsletter": StepResult.ABSENT,
    "comments_on_articles_of_other_made_up_people": StepResult.SCRUBBED,
    "search_history": StepResult.UNVERIFIED,
    "gift_cards": StepResult.SKIPPED,
    "seat_reservations": StepResult.DONE,
}
_REASONS = {Mail.ABORTED: Reason.NOT_ELIGIBLE.value, Mail.ERRORED: "still_present", Mail.HELD: "credentials"}


def made_up_mail(mail: Mail, *, locale: str, templates: MailTemplates) -> BuiltMail:
    """One mail about a made-up retirement, to a made-up person with this `subject.locale`.

    Raises:
        BadTemplate: a template can't be rendered. Its cause quotes made-up values only.
    """
    plan = _plan()
    assert plan.mail is not None
    return build_mail(
        SendMail(
            retirement_id=_ID,
            user_id="u-made-up",
            plan_digest="",
            mail=mail,
            now=_BEGAN,
            cool_off_ends_at=_COOL_OFF_ENDS,
            reason=_REASONS.get(mail),
            failed_steps=("forum_posts",) if mail in (Mail.ERRORED, Mail.HELD) else (),
        ),
        plan=plan,
        settings=plan.mail,
        case=_case(),
        subject={"email": "made-up.person@person.example", "name": _NAME, "locale": locale},
        steps=_steps(),
        templates=templates,
    )


def _plan() -> Plan:
    request = {"method": "DELETE", "path": "/"}
    erase = {"phase": "erase", "service": "accounts", "request": request}
    return Plan.model_validate(
        {
            "plan": "made-up",
            "subject": {"lookup": {"service": "accounts", "request": {"method": "GET", "path": "/"}}},
            "mail": {
                "from": "Made-up Accounts <accounts@made-up.example>",
                "support": "help@made-up.example",
                "operators": ["ops@made-up.example"],
            },
            "services": {"accounts": {"base_url": "http://made-up.example"}},
            "steps": {
                "lock": erase | {"phase": "freeze", "undo": {"request": request}},
                **dict.fromkeys(_TOLD, erase),
                "invoices": {"phase": "erase", "retain": {"ground": _GROUND, "for": "3650d"}},
            },
        }
    )


def _steps() -> list[StepRow]:
    told = [
        StepRow(step=step, action=StepAction.DO, result=result, at=_COOL_OFF_ENDS) for step, result in _TOLD.items()
    ]
    until = _COOL_OFF_ENDS + timedelta(days=3650)
    kept = StepRow(step="invoices", action=StepAction.DO, result=StepResult.RETAINED, until=until, at=_COOL_OFF_ENDS)
    return [*told, kept]


def _case() -> Case:
    return Case(
        retirement_id=_ID,
        workflow_id=None,
        state=CaseState.OPEN,
        outcome=Outcome.COMPLETE,
        reason=None,
        direction=None,
        plan="made-up",
        plan_digest="",
        run_key="",
        resumed_run_key=None,
        request_id=None,
        requested_by=None,
        reason_code=None,
        tenant=None,
        locale=None,
        requested_at=_BEGAN,
        opened_at=_BEGAN,
        cool_off_ends_at=_COOL_OFF_ENDS,
        due_at=_BEGAN + timedelta(days=31),
        since=_BEGAN,
        closed_at=None,
        hosts={},
        present=None,
        claims=None,
        shredded_at=None,
    )
