"""In which language the person is written to. What they or a service call a language is a wish: it never fails a mail."""

import re
from collections.abc import Collection, Iterable

#: Of mails to operators, whose language nobody asked for; and to the person where none is known.
ENGLISH = "en"
#: A language tag of BCP 47, in lower case; its longest registered form is 35 characters.
_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
_LONGEST_TAG = 35


def matched(wish: object, *, among: Collection[str]) -> str | None:
    """The language of `among` that comes closest to a wish (RFC 4647, lookup), or None.

    `de-AT`, `de_AT` and `de_AT.UTF-8` are all `de` where there is no `de-AT`. What comes back is an item of `among`,
    never a part of the wish: that one was written by anybody, and languages name folders.
    """
    if not isinstance(wish, str):
        return None
    tag = re.split(r"[.@]", wish.strip(), maxsplit=1)[0].replace("_", "-").lower()
    if len(tag) > _LONGEST_TAG or not _TAG.fullmatch(tag):
        return None
    known = {language.lower(): language for language in among}
    while tag not in known and "-" in tag:
        tag = tag.rpartition("-")[0]
    return known.get(tag)


def first_matched(wishes: Iterable[object], *, among: Collection[str]) -> str:
    """The language of the first wish that can be had, or English."""
    found = (matched(wish, among=among) for wish in wishes)
    return next((language for language in found if language is not None), ENGLISH)
