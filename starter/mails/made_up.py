"""Mails about a person who does not exist, built as the worker builds them. Names, titles and texts are as bad as they come."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from activities.mail_assets import MOST_IN_BODY
from activities.mail_building import BuiltMail, Known, build_letters
from activities.mail_templates import MailTemplates
from ledger.rows import Asset, AssetRow, Case, CaseState, StepAction, StepRow, VaultValues
from plans.model import Plan
from workflows.messages import SendMail
from workflows.names import AssetResult, Mail, Outcome, Reason, StepResult

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
_SUCCESSOR = {
    "id": "u-made-up-2",
    "name": "Đặng \u202epu-edam <b>Thị</b> & Söhne",
    "email": "successor@made-up.example",
}
#: What the first assets are called, and what became of each; the others are plain.
_ASSETS: tuple[tuple[str, AssetResult, str | None], ...] = (
    ("<script>alert('made up')</script>", AssetResult.REFUSED, "http_409"),
    ('=HYPERLINK("http://made-up.example")', AssetResult.REFUSED, "not_owner"),
    (
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2,
        AssetResult.NOT_FOUND,
        None,
    ),
    ("ميزانية \u202e2026 & خطة العمل (made up)", AssetResult.MOVED, None),
    ("🎉 Party 👩‍👩‍👧‍👦 – «Größe» 年度", AssetResult.ALREADY_OWNED, None),
)
_REASONS = {
    Mail.ABORTED: Reason.NOT_ELIGIBLE.value,
    Mail.ERRORED: "still_present",
    Mail.HELD: "credentials",
    Mail.WORK_FAILED: "given_up",
}
#: They name steps.
_OF_STEPS = (Mail.ERRORED, Mail.HELD, Mail.DEADLINE, Mail.WORK_FAILED)


def made_up_mail(mail: Mail, *, locale: str, templates: MailTemplates) -> BuiltMail:
    """One mail about a made-up retirement, of a made-up person with this `subject.locale` and a plan with this `mail.language`.

    Raises:
        BadTemplate: a template can't be rendered. Its cause quotes made-up values only.
    """
    plan = _plan(language=locale)
    assert plan.mail is not None
    letters = build_letters(
        SendMail(
            retirement_id=_ID,
            user_id="u-made-up",
            plan_digest="",
            mail=mail,
            now=_BEGAN,
            cool_off_ends_at=_COOL_OFF_ENDS,
            reason=_REASONS.get(mail),
            failed_steps=("forum_posts",) if mail in _OF_STEPS else (),
        ),
        plan=plan,
        settings=plan.mail,
        known=_known(mail, locale=locale),
        templates=templates,
    )
    assert letters[0].mail is not None
    return letters[0].mail


def _known(mail: Mail, *, locale: str) -> Known:
    values = VaultValues(
        subject={"email": "made-up.person@person.example", "name": _NAME, "locale": locale},
        saved={},
        successors={"colleague": _SUCCESSOR},
        people={"admins": ["admin@made-up.example", "other.admin@made-up.example"]},
    )
    code = "colleague:nobody_suitable" if mail is Mail.NO_SUCCESSOR else None
    rows = _assets(with_results=mail is not Mail.NO_SUCCESSOR)
    counts = Counter(row.result for row in rows)
    return Known(case=_case(code=code), values=values, steps=_steps(), assets=rows, counts={"documents": counts})


def _assets(*, with_results: bool) -> list[AssetRow]:
    more = MOST_IN_BODY + 10 - len(_ASSETS)
    plain = [(f"Made-up document {number}", AssetResult.MOVED, None) for number in range(1, more + 1)]
    return [
        AssetRow(
            step="documents",
            key=str(number),
            position=number,
            inventory=1,
            asset=Asset(id=f"d-{number:04}", type="slides" if number % 7 == 0 else "page", title=title),
            result=result if with_results else None,
            code=code if with_results else None,
        )
        for number, (title, result, code) in enumerate([*_ASSETS, *plain], start=1)
    ]


def _plan(*, language: str) -> Plan:
    request = {"method": "DELETE", "path": "/"}
    erase = {"phase": "erase", "service": "accounts", "request": request}
    listed = {"request": {"method": "GET", "path": "/"}, "items": "body", "id": "item.id"}
    suitable = {"service": "accounts", "request": {"method": "GET", "path": "/"}, "when": "true"}
    return Plan.model_validate(
        {
            "plan": "made-up",
            "subject": {"lookup": {"service": "accounts", "request": {"method": "GET", "path": "/"}}},
            "mail": {
                "from": "Made-up Accounts <accounts@made-up.example>",
                "support": "help@made-up.example",
                "operators": ["ops@made-up.example"],
                "recipients": [{"address": "privacy@partner.example", "reference": "made-up-{{ user_id }}"}],
                "language": language,
            },
            "successors": {"colleague": {"suitable": suitable}},
            "services": {"accounts": {"base_url": "http://made-up.example"}},
            "steps": {
                "lock": erase | {"phase": "freeze", "undo": {"request": request}},
                "documents": erase | {"phase": "transfer", "successor": "colleague", "assets": listed},
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
    handed_over = StepRow(step="documents", action=StepAction.DO, result=StepResult.TRANSFERRED, at=_COOL_OFF_ENDS)
    return [handed_over, *told, kept]


def _case(*, code: str | None) -> Case:
    return Case(
        retirement_id=_ID,
        workflow_id=None,
        state=CaseState.OPEN,
        outcome=Outcome.COMPLETE,
        reason=None,
        code=code,
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
