"""The facts of a plan as a mermaid flowchart: one box a phase, an arrow for each `after`, the point of no return thick.

Mermaid reads its text twice, as a diagram and as HTML, so whatever a plan wrote is spelt in mermaid's character codes,
and no id of the diagram comes from the plan: a step called `end` would otherwise end its box.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from starter.output import show
from starter.picture.layout import one_line, words_of

_TITLES = {"cool_off": "cool-off", "recheck": "re-check", "point_of_no_return": "point of no return"}
#: Mermaid itself breaks lines that are a little longer, wherever it happens to.
_LINE = 26
_MOST_LINES = 6


def picture_of(facts: Mapping[str, Any]) -> str:
    """The diagram's source."""
    phases = [phase for phase in facts["phases"] if phase.get("steps") != []]
    lines = ["flowchart TB"]
    for phase in phases:
        lines += [f"  {line}" for line in _phase(phase)]
    for before, after in pairwise(phases):
        is_the_point = "point_of_no_return" in (before["phase"], after["phase"])
        lines.append(f"  {_node(before)} {'==>' if is_the_point else '-->'} {_node(after)}")
    return "\n".join([*lines, *_STYLES]) + "\n"


_STYLES = (
    "  classDef point fill:#fde2e1,stroke:#b3261e,stroke-width:5px,color:#000",
    "  classDef kept fill:#fff4d6,stroke:#8a6d00,color:#000",
    "  class point_of_no_return point",
)


def _node(phase: Mapping[str, Any]) -> str:
    return f"phase_{phase['phase']}" if phase["phase"] != "point_of_no_return" else "point_of_no_return"


def _phase(phase: Mapping[str, Any]) -> Iterator[str]:
    title = _TITLES.get(phase["phase"], phase["phase"])
    if "steps" not in phase:
        text = _label(title, *_said_of(phase))
        yield f'point_of_no_return{{{{"{text}"}}}}' if title == "point of no return" else f'{_node(phase)}(["{text}"])'
        return
    yield f'subgraph {_node(phase)}["{_label(title)}"]'
    ids = {step["step"]: f"{phase['phase']}_{number}" for number, step in enumerate(phase["steps"], start=1)}
    for step in phase["steps"]:
        kept = ":::kept" if step["retain"] else ""
        yield f'  {ids[step["step"]]}["{_label(*_said_of_step(step))}"]{kept}'
    for step in phase["steps"]:
        for before in step["after"]:
            yield f"  {ids[before]} --> {ids[step['step']]}"
    yield "end"


def _said_of(phase: Mapping[str, Any]) -> list[str]:
    """One or two lines on a phase that has no steps of its own."""
    match phase["phase"]:
        case "check":
            asked = [f"look up: {phase['lookup']['service']}"]
            facts = [fact["fact"] for fact in phase["facts"]]
            codes = [rule["code"] for rule in phase["rules"]]
            policies = [policy["successor"] for policy in phase["successors"]]
            also = [asked["value"] for asked in phase["also"]]
            asked += _listed("row", [phase["row"]] if phase["row"] else [])
            said = {"given": phase["given"], "also": also, "facts": facts, "rules": codes, "probes": phase["probes"]}
            said |= {"owned": phase["assets"], "successors": policies}
            return [*asked, *(line for word, values in said.items() for line in _listed(word, values))]
        case "cool_off":
            return [show(phase["duration"]), *_listed("reminders", phase["reminders"])]
        case "recheck":
            said = {"facts": phase["facts"], "rules": phase["rules"]}
            said |= {"owned": phase["assets"], "successors": phase["successors"]}
            return [line for word, values in said.items() for line in _listed(word, values)]
        case "point_of_no_return":
            return _listed("claims", [_claimed(claim) for claim in phase["claims"]])
        case "verify":
            return _listed("probes", phase["probes"])
        case _:
            return _listed("mails", phase["mails"])


def _claimed(claim: Mapping[str, Any]) -> str:
    return f"{claim['key']} for each of {claim['each']}" if claim["each"] else str(claim["key"])


def _listed(word: str, values: Sequence[object]) -> list[str]:
    return [f"{word}: {show(values)}"] if values else []


def _said_of_step(step: Mapping[str, Any]) -> list[str]:
    name = f"{step['step']} at {step['service']}" if step["service"] else step["step"]
    if step["retain"]:
        return [name, f"keeps for {show(step['retain']['for'])}: {step['retain']['ground']}"]
    to = f"to {step['successor']}" if step["successor"] else ""
    does = f"by hand: {step['manual']}" if step["manual"] else step["request"]
    if step["mirrored"]:
        return [name, f"{step['mirrored']['working']} → {step['mirrored']['done']}", does]
    if step["assets"]:
        return [name, f"each asset: {step['assets']['becomes']} {to}", step["request"]]
    return [name, does, *([to] if to else [])]


def _label(*texts: str) -> str:
    """Lines of text for a quoted label."""
    return "<br/>".join(_spelt(line) for text in texts for line in _folded(one_line(text)))


def _folded(text: str) -> list[str]:
    """A text in a few short lines."""
    lines = [""]
    for word in words_of(text):
        room = _LINE - len(lines[-1])
        if lines[-1] and len(word) + 1 > room:
            lines.append("")
        elif lines[-1]:
            lines[-1] += " "
        for piece in _pieces(word):
            if lines[-1] and len(lines[-1]) + len(piece) > _LINE:
                lines.append("")
            lines[-1] += piece
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], "…"]


def _pieces(word: str) -> list[str]:
    """The parts of a long word: paths have no spaces, so they are broken before a `/`, around `{{ }}`, or anywhere."""
    parts = re.findall(r"\{\{.*?\}\}|/?[^/{]+|.", word)
    return [part[at : at + _LINE] for part in parts for at in range(0, len(part), _LINE)]


def _spelt(text: str) -> str:
    """Words as they are, nearly all else by its number: nothing of it is mermaid, markdown or HTML."""
    return "".join(sign if sign.isalnum() or sign in " ,:/" else f"#{ord(sign)};" for sign in text)
