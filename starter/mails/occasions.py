"""When each mail is sent, and what it holds."""

from dataclasses import dataclass

from workflows.names import Mail


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """Why somebody is written to."""

    when: str
    holds: str


OCCASIONS = {
    Mail.RECEIVED: Occasion(
        when="the cool-off begins (without a cool-off there is none)",
        holds="the date, that the account is locked until then, how to change one's mind",
    ),
    Mail.REMINDER: Occasion(
        when="before the cool-off ends, as the plan's cool_off.reminders says",
        holds="the date, how to change one's mind",
    ),
    Mail.EXTENDED: Occasion(when="the cool-off was made longer", holds="the new date, how to change one's mind"),
    Mail.RESCINDED: Occasion(
        when="the request was taken back and all is undone",
        holds="that nothing was deleted and the account is as it was",
    ),
    Mail.ABORTED: Occasion(
        when="the request could not be carried out",
        holds="why, in plain words; that nothing was deleted; what the person can do",
    ),
    Mail.COMPLETE: Occasion(
        when="the account is deleted",
        holds="what became of the data, step by step; what is kept until when, and on what ground",
    ),
    Mail.ERRORED: Occasion(
        when="a retirement stopped before its end",
        holds="retirement id, plan, failed steps, code, legal limit, the commands to run",
    ),
    Mail.HELD: Occasion(
        when="a step waits for something that a person has to put right",
        holds="retirement id, plan, step, cause, legal limit, the command to run",
    ),
}
