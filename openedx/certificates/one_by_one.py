"""Certificates are independent: one that the LMS refuses keeps no other one from being blanked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openedx.certificates.blanking import Blanking

#: So many runs without one success: it is not the certificates.
_ENOUGH_TO_TELL = 7


@dataclass(frozen=True, kw_only=True)
class AllBlanked:
    """What became of every one."""

    done: frozenset[int]
    #: The others, with a code each.
    failed: Mapping[int, str]
    #: What failed would fail for all other certificates, too.
    is_general: bool


async def blank_all(blanking: Blanking, ids: Sequence[int]) -> AllBlanked:
    """Blank them in one run; where that fails and doesn't say for which, in halves, until those are found."""
    done: set[int] = set()
    failed: dict[int, str] = {}
    waiting = [list(ids)] if ids else []
    runs = 0
    while waiting:
        some = waiting.pop(0)
        blanked = await blanking.blank(some)
        runs += 1
        done |= blanked.done
        rest = [id for id in some if id not in blanked.done]
        if not rest:
            continue
        code = blanked.code or "not_processed"
        if blanked.is_general or (not done and runs >= _ENOUGH_TO_TELL):
            left = [*rest, *(id for others in waiting for id in others)]
            return AllBlanked(done=frozenset(done), failed=failed | dict.fromkeys(left, code), is_general=True)
        if len(rest) == 1 or blanked.done:
            failed |= dict.fromkeys(rest, code)
        else:
            middle = len(rest) // 2
            waiting += [rest[:middle], rest[middle:]]
    return AllBlanked(done=frozenset(done), failed=failed, is_general=False)
