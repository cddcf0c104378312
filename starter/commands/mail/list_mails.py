"""`retire mail list`."""

import typer

from starter.access import read_settings
from starter.exit_codes import ExitCode, help_end
from starter.options import Json
from starter.output import Output, columns


def _list(json: Json = False) -> int:
    """List the mails. When each is sent, to whom, in which languages it can be had, and which files of yours are used."""
    from activities.mail_templates import MailTemplates
    from starter.mails.occasions import AUDIENCES, OCCASIONS
    from workflows.names import Mail

    templates = MailTemplates(overrides=read_settings().templates_dir)
    mails = [
        {
            "mail": mail.value,
            "to": AUDIENCES[mail.audience],
            "when": OCCASIONS[mail].when,
            "holds": OCCASIONS[mail].holds,
            "languages": list(templates.languages_of(mail)),
            "overridden": list(templates.overridden(mail)),
        }
        for mail in Mail
    ]
    rows = [(each["mail"], each["to"], each["languages"], each["overridden"], each["when"]) for each in mails]
    heading = ("mail", "to", "languages", "yours", "sent when")
    Output(as_json=json).result({"mails": mails}, columns(rows, heading=heading))
    return ExitCode.OK


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    end = help_end(example="retire mail list", codes=(ExitCode.NOT_SET_UP,), connected=False)
    app.command("list", epilog=end)(_list)
