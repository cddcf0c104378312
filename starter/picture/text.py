"""The facts of a plan as text for people: at most `width` columns wide, every line complete without colours."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from starter.output import show
from starter.picture.layout import Line, Pair, laid_out
from starter.picture.mirroring_text import also_pairs, given_pairs, mirror_pairs
from starter.picture.ownership_text import assets_pairs, policy_pairs
from starter.picture.rails import rows_of

#: What the phases are, in words. Each begins a part of the page.
_PHASES = {
    "check": "may they go, and are they there? Changes nothing.",
    "freeze": "locks without destroying; whoever rescinds gets it back",
    "cool_off": "the person may change their mind",
    "recheck": "time has passed: is it still so? Skipped where there was no cool-off.",
    "point_of_no_return": "a rescind wins before it, and is refused after it",
    "transfer": "what they owned is handed over, before anything is erased",
    "erase": "in parallel, but for what waits",
    "verify": "every probe is asked once more",
    "release": "identifiers are blocked or freed, once all is erased and verified",
    "tell": "what was erased and what is kept",
}


def lines_of(facts: Mapping[str, Any], *, width: int) -> list[Line]:
    """The whole page."""
    return [
        *laid_out(_head(facts), indent="", width=width),
        *(line for phase in facts["phases"] for line in _phase(phase, width)),
        *_title("who is asked what"),
        *(line for service in facts["services"] for line in _service(service, width)),
        *_title("what leaves the house"),
        *(line for receiver in facts["sent"] for line in _sent(receiver, width)),
        *_title("what is kept in the vault meanwhile, and shredded at the end"),
        *(_kept(facts["kept"], width) or [Line(text="  nothing")]),
        *_title("how long it may take"),
        *laid_out(_worst_case(facts["worst_case"]), indent="  ", width=width),
    ]


def _title(text: str, *, more: str = "", stress: Literal["title", "point"] = "title") -> list[Line]:
    return [Line(text=""), Line(text=text.upper() + (f"  {more}" if more else ""), stress=stress)]


def _head(facts: Mapping[str, Any]) -> Iterator[Pair]:
    deadline, cool_off, mail = facts["deadline"], facts["cool_off"], facts["mail"]
    law = f"{deadline['law']}: " if deadline["law"] else ""
    yield Pair(key="plan", value=show(facts["plan"]))
    yield Pair(key="deadline", value=f"{law}{show(deadline['time'])} from the request")
    yield Pair(key="cool-off", value=_cool_off(cool_off))
    yield Pair(key="held", value=f"what is held waits {show(facts['hold_for'])} for a person, then goes back or stops")
    if facts["mirror"]:
        yield from mirror_pairs(facts["mirror"])
    if mail is None:
        yield Pair(key="mail", value="none: nobody is told")
        return
    yield Pair(
        key="mail",
        value=f"from {show(mail['from'])}; support {show(mail['support'])}; operators {show(mail['operators'])}"
        + (f", also {show(mail['deadline_near'])} before the deadline" if mail["deadline_near"] else "")
        + f"; tried for {show(mail['patience'])}",
    )
    if mail["language"]:
        told = [f"{each['address']} as {each['reference']}" for each in mail["recipients"]]
        others = {"admins": mail["admins"], "recipients": told}
        named = [f"{who} {show(addresses)}" for who, addresses in others.items() if addresses]
        yield Pair(key="", value="; ".join([*named, f"to them in {mail['language']}"]))


def _cool_off(cool_off: Mapping[str, Any]) -> str:
    longest = f"may be extended to {show(cool_off['max'])}" if cool_off["max"] else "can't be extended"
    reminders = f"reminders {show(cool_off['reminders'])} before its end" if cool_off["reminders"] else "no reminders"
    return f"{show(cool_off['duration'])} from the request; {reminders}; {longest}; expedite {cool_off['expedite']}"


def _phase(phase: Mapping[str, Any], width: int) -> list[Line]:
    name = phase["phase"]
    stress: Literal["title", "point"] = "point" if name == "point_of_no_return" else "title"
    title = name.replace("_", " ").replace("cool off", "cool-off").replace("recheck", "re-check")
    if name == "point_of_no_return":
        title = f"━━━ {title} ━━━"
    lines = _title(title, more=_PHASES[name], stress=stress)
    if name == "transfer" and not phase["steps"]:
        return []
    if "steps" in phase:
        return [*lines, *(_steps(phase["steps"], width) or [Line(text="  no steps")])]
    return [*lines, *laid_out(_PAIRS_OF[name](phase), indent="  ", width=width)]


def _check(phase: Mapping[str, Any]) -> Iterator[Pair]:
    lookup = phase["lookup"]
    yield from given_pairs(phase["given"])
    yield Pair(key="look up", value=f"{lookup['service']}: {lookup['request']}")
    yield Pair(key="", value=f"reads into the vault: {show(lookup['fields'])}")
    unknown = {"refuse": "refuse the retirement", "proceed": "proceed all the same"}
    yield Pair(key="", value=f"not known there: {unknown[lookup['absent']]}")
    if lookup["absent_unchecked"]:
        yield Pair(key="", value=f"a 404 is believed: {lookup['absent_unchecked']}")
    if lookup["absent_when"]:
        yield Pair(key="", value=f"somebody else, and so unknown, where {lookup['absent_when']}")
    is_waited_for = lookup["patience"] is None
    patience = "asked for as long as it is away" if is_waited_for else f"patience {show(lookup['patience'])}"
    yield Pair(key="", value=patience)
    if phase["row"]:
        yield Pair(key="row", value=f"that of {phase['row']} decides where a run begins")
    for asked in phase["also"]:
        yield from also_pairs(asked)
    for fact in phase["facts"]:
        pages = f"; next page: {fact['next_page']}" if fact["next_page"] else ""
        absent = f"; none there: {show(fact['absent'])}" if fact["absent"] else ""
        yield Pair(key=f"fact {fact['fact']}", value=f"{fact['service']}: {fact['request']}")
        yield Pair(key="", value=f"reads {fact['reads']}{pages}{absent}; patience {show(fact['patience'])}")
    for rule in phase["rules"]:
        yield Pair(key=f"rule {rule['code']}", value=f"refuses where {rule['refuse_if']}")
    yield Pair(key="probes", value=_each(phase["probes"], "are they there? Asked once for {}", "none"))
    if phase["assets"]:
        yield Pair(key="owned", value=f"what is theirs? Listed for {show(phase['assets'])}")
    for policy in phase["successors"]:
        yield from policy_pairs(policy)


def _wait(phase: Mapping[str, Any]) -> Iterator[Pair]:
    yield Pair(key="wait", value=f"{show(phase['duration'])} from the request")
    yield Pair(key="remind", value=_each(phase["reminders"], "{} before the end", "not"))


def _recheck(phase: Mapping[str, Any]) -> Iterator[Pair]:
    yield Pair(key="look up", value=f"again: {phase['lookup']}")
    if phase["facts"]:
        yield Pair(key="facts", value=f"again: {show(phase['facts'])}")
    if phase["rules"]:
        yield Pair(key="rules", value=f"again: {show(phase['rules'])}")
    if phase["assets"]:
        yield Pair(key="owned", value=f"again: {show(phase['assets'])}")
    if phase["successors"]:
        yield Pair(key="successors", value=f"again: {show(phase['successors'])}")


def _point(phase: Mapping[str, Any]) -> Iterator[Pair]:
    for claim in phase["claims"]:
        each = f", for each of {claim['each']}" if claim["each"] else ""
        when = f", where {claim['when']}" if claim["when"] else ""
        yield Pair(key="claims", value=f"{claim['key']}{each}{when}; whoever comes second goes back")


def _verify(phase: Mapping[str, Any]) -> Iterator[Pair]:
    yield Pair(key="probes", value=_each(phase["probes"], "are they gone? Asked again for {}", "none"))


def _tell(phase: Mapping[str, Any]) -> Iterator[Pair]:
    yield Pair(key="mails", value=_each(phase["mails"], "in all of the life: {}", "none"))


_PAIRS_OF = {
    "check": _check,
    "cool_off": _wait,
    "recheck": _recheck,
    "point_of_no_return": _point,
    "verify": _verify,
    "tell": _tell,
}


def _each(values: Sequence[object], sentence: str, nothing: str) -> str:
    return sentence.format(show(values)) if values else nothing


def _steps(steps: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Each step below all it waits for, with the rails that say so."""
    by_id = {step["step"]: step for step in steps}
    lines = []
    for row in rows_of({id: step["after"] for id, step in by_id.items()}):
        step = by_id[row.id]
        lines.append(Line(text=f"  {row.margin}{row.id}{_at(step)}"))
        lines += laid_out(_step(step), indent=f"  {row.below}  ", width=width)
    return lines


def _at(step: Mapping[str, Any]) -> str:
    return f" at {step['service']}" if step["service"] else ""


def _step(step: Mapping[str, Any]) -> Iterator[Pair]:
    if step["after"]:
        yield Pair(key="after", value=show(step["after"]))
    if step["retain"] is not None:
        yield Pair(key="retain", value=f"{step['retain']['ground']}; for {show(step['retain']['for'])}")
        return
    if step["mirrored"]:
        yield Pair(key="states", value=f"{step['mirrored']['working']} → {step['mirrored']['done']}")
    if step["deferrable"]:
        yield Pair(key="", value="deferrable: while its service fails, those after it go on")
    if step["manual"]:
        yield Pair(key="by hand", value=f"{step['manual']} Ends as manual, and is open on record until it is done")
        if step["patience"]:
            yield Pair(key="patience", value=show(step["patience"]))
        return
    if step["assets"]:
        yield from assets_pairs(step["assets"])
    each = f", for each: {step['assets']['becomes']}" if step["assets"] else ""
    if step["find"]:
        yield from _find(step["find"])
    yield Pair(key="request", value=f"{step['request']}{each}")
    if step["timeout"] or step["longest_timeout"]:
        yield Pair(key="", value=_time_given(step))
    if step["done_when"]:
        yield Pair(key="done", value=f"only where {step['done_when']}; tried again otherwise")
    if step["successor"]:
        yield Pair(key="successor", value=step["successor"])
    yield from _probe(step["probe"], "probe")
    if step["unprobed"]:
        yield Pair(key="unprobed", value=f"{step['unprobed']}; ends as unverified")
    if step["undo"]:
        when = f"; where {step['undo']['when']}" if step["undo"]["when"] else ""
        yield Pair(key="undo", value=step["undo"]["request"] + when)
    if step["no_undo"]:
        yield Pair(key="no undo", value=step["no_undo"])
    codes = {"absent": "nothing there", "transient": "tried again", "permanent": "refused for good"}
    for name, meaning in codes.items():
        if step[name]:
            yield Pair(key=name, value=f"{show(step[name])}: {meaning}")
    if step["absent_unchecked"]:
        yield Pair(key="", value=f"a 404 is believed: {step['absent_unchecked']}")
    if step["on_permanent"]:
        yield Pair(key="last resort", value=f"{step['on_permanent']['request']}; ends as scrubbed")
        yield from _probe(step["on_permanent"]["probe"], "its probe")
    if step["poll"]:
        poll = step["poll"]
        failed = f"; failed where {poll['failed']}" if poll["failed"] else ""
        yield Pair(
            key="poll",
            value=f"a 202 is asked about at {poll['url']}, every {show(poll['every'])}; done where {poll['done']}{failed}",
        )
    if step["follow_up"]:
        yield Pair(key="follow-up", value=_follow_up(step["follow_up"]))
    if step["save"]:
        yield Pair(key="saves", value=show(step["save"]))
    if step["identifiers"]:
        yield Pair(key="identifiers", value=f"{step['identifiers']}; for this probe, gone means free")
    yield Pair(key="patience", value=show(step["patience"]))


def _find(find: Mapping[str, Any]) -> Iterator[Pair]:
    saves = f"; saves {show(find['save'])}" if find["save"] else ""
    absent = f"; nothing there: {show(find['absent'])}" if find["absent"] else ""
    yield Pair(key="find first", value=f"{find['request']}{saves}{absent}")


def _time_given(step: Mapping[str, Any]) -> str:
    first = f"may take {show(step['timeout'])}" if step["timeout"] else "may take as long as any call of the service"
    if not step["longest_timeout"]:
        return first
    return f"{first}; after each that timed out twice as long, up to {show(step['longest_timeout'])}"


def _follow_up(follow_up: Mapping[str, Any]) -> str:
    failed = f", failed where {follow_up['failed']}" if follow_up["failed"] else ""
    return (
        f"{follow_up['request']}; first {show(follow_up['first'])} after it was accepted, then every "
        f"{show(follow_up['every'])}, for {show(follow_up['for'])}; done where {follow_up['done']}{failed}; "
        "the retirement doesn't wait for it"
    )


def _probe(probe: Mapping[str, Any] | None, key: str) -> Iterator[Pair]:
    if probe is not None:
        when = f", or where {probe['gone_when']}" if probe["gone_when"] else ""
        yield Pair(key=key, value=f"{probe['request']}; gone: {show(probe['gone'])}{when}")


def _service(service: Mapping[str, Any], width: int) -> list[Line]:
    address = service["address"] or "code of an installed package"
    pairs = [Pair(key="address", value=f"{service['type']}, {address}")]
    if service["auth"]:
        pairs.append(Pair(key="auth", value=service["auth"] + _token(service["token"])))
    if service["headers"]:
        pairs.append(Pair(key="headers", value=show(service["headers"])))
    if service["secrets"]:
        pairs.append(Pair(key="needs", value=show(service["secrets"])))
    rate = f"at most {service['rate']} over all workers; " if service["rate"] else ""
    pairs.append(
        Pair(key="limits", value=f"{rate}{service['concurrent']} calls at a time, {show(service['timeout'])} each")
    )
    if service["queue"]:
        pairs.append(Pair(key="queue", value=f"only workers that serve {service['queue']}"))
    for request in service["requests"]:
        of = "" if request["purpose"] in ("do", "look up") else f" ({request['purpose']})"
        pairs.append(Pair(key=f"· {request['for']}{of}", value=request["request"]))
    if not service["requests"]:
        pairs.append(Pair(key="·", value="asked nothing"))
    return [Line(text=f"  {service['service']}"), *laid_out(pairs, indent="    ", width=width)]


def _token(token: Mapping[str, Any] | None) -> str:
    if token is None:
        return ""
    scope = f", scope {token['scope']}" if token["scope"] else ""
    form = f", form {show(token['form'])}" if token["form"] else ""
    return f"; client by {token['credentials']}{scope}{form}; token sent as {token['scheme']}"


def _sent(receiver: Mapping[str, Any], width: int) -> list[Line]:
    pairs = [Pair(key=value["value"], value=f"with {show(value['with'])}") for value in receiver["values"]]
    return [
        Line(text=f"  {receiver['to']}"),
        *(laid_out(pairs, indent="    ", width=width) if pairs else [Line(text="    nothing of the person")]),
    ]


def _kept(kept: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    pairs = [
        Pair(
            key=value["value"],
            value=(f"{value['reads']} of {value['from']}; " if value["reads"] else f"as {value['from']} gives it; ")
            + (f"for {show(value['used_by'])}" if value["used_by"] else "nothing names it: does it need to be kept?"),
        )
        for value in kept
    ]
    return laid_out(pairs, indent="  ", width=width)


def _worst_case(worst: Mapping[str, Any]) -> Iterator[Pair]:
    yield Pair(
        key="at worst",
        value="if everything fails for as long as the plan bears it, and then succeeds; what is held is not counted",
    )
    yield Pair(key="deadline", value=f"{show(worst['deadline'])} at the least")
    for case in worst["cases"]:
        chain = " → ".join(f"{leg['name']} {show(leg['time'])}" for leg in case["legs"])
        verdict = "in time" if case["in_time"] else f"{show(case['total'] - worst['deadline'])} too late"
        yield Pair(key=f"cool-off {show(case['cool_off'])}", value=f"{chain} = {show(case['total'])}: {verdict}")
