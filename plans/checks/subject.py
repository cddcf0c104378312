"""What is known of the person: each value under a name of its own, and none that nothing needs."""

from collections.abc import Iterator

from plans.checks.draft import Draft
from plans.checks.findings import Check, Finding, error, warning
from plans.checks.templates import is_valid, names_in
from plans.requests import KeyPath

#: Values that mails to the person use by themselves.
_MAILED = frozenset({"email", "name", "locale"})


def taken(draft: Draft) -> Iterator[Finding]:
    """Values that templates would find under one name."""
    known: dict[str, str] = {}
    for path, name, source in _values_of(draft):
        if name in known:
            what = f"can't be had under this name, as subject.{name} is {known[name]} already; call it otherwise"
            yield error(Check.NAME_TAKEN, path, what)
        else:
            known[name] = source


def unused(draft: Draft) -> Iterator[Finding]:
    """Personal values that are handed over or asked for, and that nothing names. What the lookup says anyway is no trouble."""
    if draft.lost or not all(is_valid(each) for each in draft.texts):
        return
    named = {name[:2] for each in draft.texts for name in names_in(each)}
    is_mailed = draft.written.mail is not None
    for path, name, source in _values_of(draft):
        is_named = bool(named & {("subject", name), ("subject",)}) or (is_mailed and name in _MAILED)
        if path[1] != "lookup" and not is_named:
            yield warning(
                Check.UNUSED_VALUE,
                path,
                f"is {source}, and nothing names subject.{name}; it is personal data that nobody needs: remove it",
            )


def _values_of(draft: Draft) -> Iterator[tuple[KeyPath, str, str]]:
    """Each value of the person: where it stands, its name, and whence it is."""
    subject = draft.written.subject
    for index, name in enumerate(subject.given):
        yield ("subject", "given", index), name, "given beforehand"
    for name in subject.lookup.fields:
        yield ("subject", "lookup", "fields", name), name, "read by the lookup"
    for name in subject.also:
        yield ("subject", "also", name), name, "asked for in subject.also"
