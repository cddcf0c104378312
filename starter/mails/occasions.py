"""When each mail is sent, and what it holds."""

from dataclasses import dataclass

from workflows.names import Audience, Mail

#: What each audience is called; the names of the vault's holders are not for people.
AUDIENCES = {
    Audience.PERSON: "person",
    Audience.OPERATORS: "operators",
    Audience.ADMINS: "admins",
    Audience.RECIPIENTS: "recipients",
}


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
        holds="what became of the data, step by step; how much others took over; what is kept until when, and on what ground",
    ),
    Mail.ERRORED: Occasion(
        when="a retirement stopped before its end",
        holds="retirement id, plan, failed steps and codes, numbers of assets, legal limit, the commands to run",
    ),
    Mail.HELD: Occasion(
        when="a step waits for something that a person has to put right",
        holds="retirement id, plan, step, cause, numbers of assets, legal limit, the command to run",
    ),
    Mail.DEADLINE: Occasion(
        when="the legal limit comes near or has passed, as the plan's mail.deadline_near says; once a retirement",
        holds="retirement id, plan, legal limit, state, failed steps, numbers of assets, the commands to run",
    ),
    Mail.NO_SUCCESSOR: Occasion(
        when="a retirement was stopped since nobody suitable takes over",
        holds="whose account, why nobody takes over, what can be done, what the person owns",
    ),
    Mail.HANDOVER: Occasion(
        when="the account is deleted and what it owned was handed over (none where it owned nothing)",
        holds="which account, what went to whom, what is left to do, each asset and what became of it",
    ),
    Mail.DISCLOSED: Occasion(
        when="the account is deleted",
        holds="the reference under which the recipient knows the person, and the request to erase their data",
    ),
    Mail.WORK_FAILED: Occasion(
        when="a service has not finished what it had accepted (a step's follow_up)",
        holds="retirement id, plan, step and code, the commands to run",
    ),
}
