"""The order that `after` gives to steps. Pure: names that aren't there are passed over, circles are told."""

from collections.abc import Iterator, Mapping

from plans.model import Step


def before(steps: Mapping[str, Step], id: str) -> frozenset[str]:
    """The steps that have ended before this one begins: those it comes after, and those that they come after."""
    found: set[str] = set()
    waiting = list(steps[id].after)
    while waiting:
        other = waiting.pop()
        if other in steps and other not in found:
            found.add(other)
            waiting += steps[other].after
    return frozenset(found - {id})


def cycles_in(steps: Mapping[str, Step]) -> Iterator[list[str]]:
    """Each circle once, as the path that leads back to its beginning."""
    done: set[str] = set()
    for start in steps:
        trail: list[str] = []
        # Depth first without recursion: a plan may be a long chain.
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(steps[start].after))] if start not in done else []
        while stack:
            id, rest = stack[-1]
            if len(trail) < len(stack):
                trail.append(id)
            step = next(rest, None)
            if step is None:
                done.add(id)
                stack.pop()
                trail.pop()
            elif step in trail:
                yield [*trail[trail.index(step) :], step]
            elif step in steps and step not in done:
                stack.append((step, iter(steps[step].after)))
