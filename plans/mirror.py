"""A mirrored source: a system of the site's own that keeps a row with the state of each retirement, and goes by it."""

from datetime import timedelta

from pydantic import Field

from plans.fields import Duration, Expression, Identifier, PlanModel
from plans.requests import HttpRequest

#: Names of states, as the source spells them.
StateName = str


class MirroredStates(PlanModel):
    """The source's two states of a step."""

    working: StateName = Field(min_length=1, description="The state while the step is at work; set before it.")
    done: StateName = Field(min_length=1, description="The state when it is done; set after it.")


class Mirror(PlanModel):
    """The source's row of a retirement decides where a run begins, and every step is mirrored there.

    The lookup reads the row. Mirrored steps form one chain, in the order of the source's states. A row that somebody else has
    moved is never written over: the run is held (`conflict`).
    """

    service: Identifier = Field(description="The source; the lookup's service.")
    state: Expression = Field(description="The row's state, read from the lookup's answer.")
    moved_at: Expression = Field(description="When it was moved last, read from the lookup's answer: an ISO 8601 date.")
    same_when: Expression | None = Field(
        default=None, description="True over the lookup's answer where the row is this very person's; held otherwise."
    )
    update: HttpRequest = Field(
        description="Moves the row to `{{ mirror.state }}`; `{{ mirror.note }}` says why, without a value of the person."
    )
    cancel: HttpRequest | None = Field(
        default=None, description="Takes the request back at the source, when the person has changed their mind."
    )
    cancel_by_hand: str | None = Field(
        default=None, description="What to do at the source where it has no such call; shown, and waited for."
    )
    waiting: StateName = Field(min_length=1, description="The state of a request that nobody has begun with.")
    errored: StateName = Field(min_length=1, description="The state in which somebody has to look at it.")
    aborted: StateName = Field(min_length=1, description="The state of a request that was taken back.")
    complete: StateName = Field(min_length=1, description="The state when everything is done.")
    complete_note: str = Field(
        default="Retirement complete.", min_length=1, description="What is noted when all is done."
    )
    mask: str = Field(
        default="[person]", min_length=1, description="Stands in notes where a value of the person stood."
    )
    adopt_after: Duration = Field(
        default=timedelta(hours=1),
        description="A row that somebody else has left at work is taken over when it was not moved for so long.",
    )
    verified_when: Expression | None = Field(
        default=None, description="True over the lookup's answer when all is done; asked once, after `complete` is set."
    )

    @property
    def ends(self) -> frozenset[StateName]:
        """The states that are no step's."""
        return frozenset({self.waiting, self.errored, self.aborted, self.complete})
