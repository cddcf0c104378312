"""Work that a retirement has left to a vendor or a person: which one a command means."""

from typing import TYPE_CHECKING, Annotated

import typer

from starter.errors import CommandError
from starter.exit_codes import ExitCode
from starter.options import read_code
from starter.output import show
from starter.subjects import find_subject, not_found

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.rows import Case, Work

WhoseWork = Annotated[
    str, typer.Argument(metavar="WHO", help="A retirement id (r-…), or the user id of the latest retirement.")
]
Step = Annotated[
    str, typer.Argument(metavar="STEP", help="The step's id, as `retire work` lists it.", callback=read_code)
]


async def find_work(who: str, *, step: str, tenant: str | None, ledger: "Ledger") -> "tuple[Work, Case]":
    """The work of a step, and the case that it belongs to.

    Raises:
        CommandError: there is no such retirement, or it has left nothing to do at this step.
    """
    subject = await find_subject(who, tenant=tenant, ledger=ledger)
    if subject.case is None:
        raise not_found(subject)
    known = await ledger.work(subject.case.retirement_id)
    found = next((work for work in known if work.step == step), None)
    if found is None:
        steps = ", ".join(work.step for work in known)
        raise CommandError(
            f"{subject.case.retirement_id} has left nothing to do at step {show(step)}.",
            do=f"It has at: {steps}." if steps else "`retire work list` shows what others have left.",
            code=ExitCode.NOT_FOUND,
        )
    return found, subject.case
