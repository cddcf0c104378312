"""What check functions say in the same words."""

from activities.actions.answers import Answer, NoAnswer
from activities.probing import Gone, Seen, StillThere
from starter.conformance.bench import Bench
from starter.conformance.deeds import Did, Person, consequence
from starter.conformance.verdicts import Failed, LeftOut
from starter.exchanges import Exchange


def must_succeed(did: Did, *, what: str) -> str:
    """What was answered; raises where a retirement could not go on from it."""
    if did.last is not None and did.last.wrong is not None:
        raise Failed(f"{what} was refused for good ({did.exchange.said}), and {did.last.wrong}")
    if not did.is_success:
        raise Failed(f"{what} was answered {did.said}: to a retirement that is {consequence(did.meaning)}")
    return f"{what} was answered {did.said}"


def verdict(seen: Seen, exchange: Exchange) -> str:
    """What a probe says, in words."""
    match seen.verdict:
        case StillThere():
            return f"there ({exchange.said})"
        case Gone():
            return f"gone ({exchange.said})"
    return f"neither there nor gone ({exchange.said})"


def is_failing(answer: Answer | NoAnswer) -> bool:
    """Did the service fail, or not answer at all?"""
    return isinstance(answer, NoAnswer) or answer.status >= 500


async def must_be_there(bench: Bench, person: Person, *, after: str) -> None:
    """Fail where somebody has gone who must not."""
    if not await bench.is_there(person):
        person.is_there = False
        raise Failed(f"{person.name} is gone after {after}")


def need_success(bench: Bench) -> Person:
    """The first test user, once the step has been done to them."""
    first = bench.first
    if first is None or not first.did.is_success:
        raise LeftOut("the request itself was not done; see request_answers")
    return first.person
