"""Writes docs/settings.md from the settings themselves: `python -m worker.settings_reference > docs/settings.md`."""

from worker.settings import PREFIX, Settings


def settings_reference() -> str:
    """The page: one row a variable."""
    rows = []
    for name, field in Settings.model_fields.items():
        example = field.examples[0] if field.examples else ""
        shown = "" if field.default is None else _DEFAULTS.get(name, str(field.default))
        rows.append(f"| `{PREFIX}{name.upper()}` | {field.description} | {shown} | `{example}` |")
    return "\n".join([_HEAD, "| variable | effect | default | example |", "|---|---|---|---|", *rows]) + "\n"


#: Defaults that are worked out at the start, or read better as plans write them.
_DEFAULTS = {
    "database_url": "`retirement.db` in the current folder",
    "smtp_timeout": "30s",
    "queues": "main",
    "graceful_shutdown": "20s",
}

_HEAD = """# Settings

Read once at the start of a worker or command. Durations are written as in plans: `10s`, `14d`.
How Temporal is reached is Temporal's own: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE`, `TEMPORAL_API_KEY`, TLS.
"""

if __name__ == "__main__":
    print(settings_reference(), end="")
