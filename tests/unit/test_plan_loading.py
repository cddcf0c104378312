"""Loading plans: every mistake is told with its place and its cure, all at once, and without a value of the file."""

from pathlib import Path

import pytest

from plans.loading import PlanError, Plans, check_plan, load_plan
from plans.model import Plan
from plans.requests import HttpRequest

HEAD = """\
plan: acme
subject:
  lookup: {service: accounts, request: {method: GET, path: "/users/{{ user_id }}"}}
services:
  accounts: {base_url: "${env:ACCOUNTS_URL}"}
"""
STEPS = """\
steps:
  profile:
    phase: erase
    service: accounts
    request: {method: DELETE, path: "/users/{{ user_id }}"}
    absent: [404]
    probe: {request: {method: GET, path: "/users/{{ user_id }}"}}
"""


def written(folder: Path, text: str | bytes, name: str = "acme.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(folder: Path, text: str | bytes) -> list[str]:
    """What loading says, one problem a line, without the folder."""
    with pytest.raises(PlanError) as caught:
        load_plan(written(folder, text))
    assert caught.value.__cause__ is None and (caught.value.__context__ is None or caught.value.__suppress_context__)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def test_a_good_plan_loads_with_its_defaults(tmp_path: Path) -> None:
    plan = load_plan(written(tmp_path, HEAD + STEPS))
    assert plan.plan == "acme"
    assert plan.deadline == "gdpr"
    assert plan.steps["profile"].request is not None


def test_steps_keep_the_order_of_the_file(tmp_path: Path) -> None:
    names = ["zebra", "forum", "apple", "mail-list", "b2"]
    steps = "".join(f"  {name}: {{phase: erase, retain: {{ground: tax, for: 1d}}}}\n" for name in names)
    plan = load_plan(written(tmp_path, f"{HEAD}steps:\n{steps}"))
    assert list(plan.steps) == names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "acme.yaml:1: is empty; begin with"),
        ("# only a comment\n", "acme.yaml:1: is empty; begin with"),
        ("- plan: acme\n", "acme.yaml:1: isn't a mapping; begin with"),
        ("just words\n", "acme.yaml:1: isn't a mapping; begin with"),
        ("null\n", "acme.yaml:1: isn't a mapping; begin with"),
        ("plan: acme\nsteps:\n\tlock: {}\n", "acme.yaml:3: has a tab where YAML wants spaces; indent with spaces"),
        ("plan: acme\nsteps: *nowhere\n", "acme.yaml:2: uses an anchor"),
        ("plan: [acme\n", "acme.yaml:2: isn't valid YAML"),
        ("plan: a: b\n", "acme.yaml:1: isn't valid YAML: a `:` where none can be"),
        ('plan: "acme\n', "acme.yaml:2: isn't valid YAML"),
        (b"plan: acme\n# caf\xe9\n", "acme.yaml:2: isn't UTF-8; save the file in that encoding"),
        (b"plan: acme\n# \x07\n", "acme.yaml:2: has a control character; remove it"),
        ("plan: acme\n---\nplan: other\n", "acme.yaml:2: has a second document"),
        ("plan: !!python/object:os.system {}\n", "acme.yaml:1: plan: has a tag"),
        ("plan: &loop [*loop]\n", "acme.yaml:1: plan[0]: contains itself through an anchor"),
        ("[" * 3000, "acme.yaml:1: is nested too deeply"),
        (b"#" * 1_000_001, "acme.yaml:1: is larger than 1 MB"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)),
            "grows too large with its anchors",
        ),
    ],
)
def test_a_file_that_is_no_plan_is_told_by_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert any(told in line for line in problems_of(tmp_path, text))


@pytest.mark.parametrize(
    ("was", "instead", "told"),
    [
        ("plan: acme", "plan: Acme Inc", "acme.yaml:1: plan: isn't a name"),
        ("plan: acme", "plan: 7", "acme.yaml:1: plan: isn't text; put it in quotes"),
        ("plan: acme", "plan: acme\nplan: acme", "acme.yaml:2: plan: is there twice, first on line 1; remove one"),
        ("plan: acme", "plan: acme\n1: x", "acme.yaml:2: has a key that isn't text"),
        ("plan: acme", "plan: acme\ncolour: x", "acme.yaml:2: colour: isn't known here"),
        ("plan: acme", "plan: acme\ndeadline: soon", "acme.yaml:2: deadline: isn't a deadline; write gdpr, ccpa, or"),
        ("plan: acme", "plan: acme\ndeadline: 200000w", "acme.yaml:2: deadline: is longer than a hundred years"),
        ("plan: acme", "plan: acme\ncool_off: {duration: 14}", "acme.yaml:2: cool_off.duration: not a duration; write"),
        (
            "plan: acme",
            "plan: acme\ncool_off:\n  duration: 7d\n  reminders: [1d, 8d]",
            "acme.yaml:4: cool_off.reminders[1]: is as long as the cool-off or longer",
        ),
        ("plan: acme", "plan: acme\nmail: {from: nobody}", "acme.yaml:2: mail.from: isn't a mail address"),
        (
            "plan: acme",
            'plan: acme\nmail: {from: a@b.example, operators: ["x@y.example\\nBcc: z@y.example"]}',
            "acme.yaml:2: mail.operators[0]: isn't a mail address",
        ),
        ("method: GET", "method: get", "acme.yaml:3: subject.lookup.request.method: isn't accepted; write 'GET'"),
        (
            "service: accounts, request: {method: G",
            "service: acounts, request: {method: G",
            "unknown service 'acounts'; did you mean 'accounts'?",
        ),
        ('path: "/users/{{ user_id }}"}}\nserv', 'path: "users"}}\nserv', "request.path: doesn't begin with /"),
        (
            '"/users/{{ user_id }}"}}\nserv',
            '"/{{ user_id"}}\nserv',
            "acme.yaml:3: subject.lookup.request.path: isn't a valid template",
        ),
        (
            '"/users/{{ user_id }}"}}\nserv',
            '"/{{ user_id | upcase }}"}}\nserv',
            "uses a filter or test that Jinja2 doesn't know",
        ),
        (
            '"/users/{{ user_id }}"}}\nserv',
            "{{ user_id }}}}\nserv",
            'acme.yaml:3: subject.lookup.request.path: has a template outside quotes; write "{{ … }}"',
        ),
        (
            "services:",
            "services:\n  other: {base_url: x, auth: {type: digest}}",
            "services.other.auth: has an unknown `type`; write one of",
        ),
        (
            "services:",
            "services:\n  other: {base_url: x, auth: {type: bearer}}",
            "services.other.auth.token: is missing; add it",
        ),
        ("phase: erase", "phase: freeze", "acme.yaml:7: steps.profile: a freeze step needs undo"),
        ("phase: erase", "phase: erase\n    after: [profile]", "runs in a circle: profile → profile"),
        (
            "phase: erase",
            "phase: erase\n    after: [nobody]",
            "steps.profile.after[0]: unknown step 'nobody'; known: profile",
        ),
        ("absent: [404]", "absent: [4]", "steps.profile.absent[0]: is too small"),
        ("phase: erase", 'phase: erase\n    save: {x: "body."}', "steps.profile.save.x: isn't a valid expression"),
        ("profile:", "Profile One:", "acme.yaml:7: steps.Profile One: isn't a name"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_cure(tmp_path: Path, was: str, instead: str, told: str) -> None:
    good = HEAD + STEPS
    assert was in good
    lines = problems_of(tmp_path, good.replace(was, instead, 1))
    assert any(told in line for line in lines), lines
    assert all(";" in line or "did you mean" in line for line in lines), lines


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = problems_of(
        tmp_path,
        "plan: A\nsubject: {}\ndeadline: soon\nservices: {}\nsteps:\n  x: {phase: erase}\n  x: {phase: erase}\n",
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["acme.yaml:1", "plan"],
        ["acme.yaml:2", "subject.lookup"],
        ["acme.yaml:3", "deadline"],
        ["acme.yaml:6", "steps.x"],
        ["acme.yaml:7", "steps.x"],
    ]


def test_a_circle_is_shown_once_as_a_path(tmp_path: Path) -> None:
    step = "{{phase: erase, retain: {{ground: tax, for: 1d}}, after: [{}]}}"
    steps = "".join(f"  {id}: {step.format(after)}\n" for id, after in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")))
    assert problems_of(tmp_path, f"{HEAD}steps:\n{steps}") == [
        "acme.yaml:7: steps.a.after: the order runs in a circle: a → b → c → a; remove one of these `after`"
    ]


def test_a_long_chain_of_steps_is_no_circle(tmp_path: Path) -> None:
    step = "{{phase: erase, retain: {{ground: tax, for: 1d}}{}}}"
    steps = "".join(f"  s{n}: {step.format(f', after: [s{n + 1}]' if n < 2000 else '')}\n" for n in range(2001))
    assert len(load_plan(written(tmp_path, f"{HEAD}steps:\n{steps}")).steps) == 2001


def test_after_may_not_cross_a_phase(tmp_path: Path) -> None:
    path = '"/users/{{ user_id }}/lock"'
    undo = f"{{request: {{method: DELETE, path: {path}}}}}"
    lock = f"{{phase: freeze, service: accounts, absent: [404], request: {{method: POST, path: {path}}}, undo: {undo}}}"
    text = HEAD + STEPS.replace("phase: erase", "phase: erase\n    after: [lock]") + f"  lock: {lock}\n"
    (line,) = problems_of(tmp_path, text)
    assert line.startswith("acme.yaml:9: steps.profile.after[0]: 'lock' is a step of the freeze phase")


def test_no_value_of_the_file_is_told(tmp_path: Path) -> None:
    """A secret put in the wrong place must not end in a terminal or a log."""
    secret = "hunter2-{{ hunter2"
    text = HEAD.replace("plan: acme", f'plan: "{secret}"\ndeadline: "{secret}"') + (
        f'  b: {{base_url: ["{secret}"], auth: {{type: "{secret}"}}, timeout: "{secret}"}}\n'
        f'steps:\n  x: {{phase: "{secret}", request: {{method: "{secret}", path: "{secret}"}}, absent: ["{secret}"]}}\n'
    )
    lines = problems_of(tmp_path, text)
    assert len(lines) >= 7
    assert "hunter2" not in "\n".join(lines)
    template = problems_of(tmp_path, HEAD + STEPS.replace("/users/{{ user_id }}", f"/{secret}"))
    assert "hunter2" not in "\n".join(template)


def test_plain_words_stay_text(tmp_path: Path) -> None:
    """YAML 1.1 reads `no`, `on` and `10:30` as something else; a plan's author means what they wrote."""
    text = HEAD + STEPS.replace(
        "method: DELETE", "method: DELETE, json: {a: no, b: on, c: 10:30, d: 2026-01-01, e: 7, f: true}"
    )
    request = load_plan(written(tmp_path, text)).steps["profile"].request
    assert isinstance(request, HttpRequest)
    assert request.body == {"a": "no", "b": "on", "c": "10:30", "d": "2026-01-01", "e": 7, "f": True}


def test_anchors_and_merged_keys_work(tmp_path: Path) -> None:
    text = HEAD + STEPS.replace("profile:", "profile: &profile") + "  again: {<<: *profile, after: [profile]}\n"
    steps = load_plan(written(tmp_path, text)).steps
    assert steps["again"].request == steps["profile"].request
    assert steps["again"].after == ("profile",)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no such file"):
        load_plan(tmp_path / "none.yaml")
    with pytest.raises(PlanError, match="is a folder"):
        load_plan(tmp_path)


def a_folder(tmp_path: Path) -> Path:
    for name in ("acme", "beta"):
        written(tmp_path, HEAD.replace("acme", name) + STEPS, f"{name}.yaml")
    return tmp_path


def test_plans_are_known_by_name(tmp_path: Path) -> None:
    plans = Plans(a_folder(tmp_path), "beta")
    assert (plans.get("acme").plan, plans.get().plan, plans.names()) == ("acme", "beta", ("acme", "beta"))


def test_an_unknown_plan_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        Plans(a_folder(tmp_path), "acme").get("gamma")
    assert str(caught.value) == "unknown plan 'gamma'; known: acme, beta"


@pytest.mark.parametrize(
    "name", ["../acme", "/etc/passwd", "acme.yaml", "", "a/b", "acme\n", "Ada Lovelace", "a\0", "a" * 70]
)
def test_a_hostile_name_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    folder = a_folder(tmp_path) / "inner"
    folder.mkdir()
    with pytest.raises(PlanError, match="isn't a name") as caught:
        Plans(folder, "acme").get(name)
    assert not name or name not in str(caught.value)


def test_a_plan_must_bear_its_file_s_name(tmp_path: Path) -> None:
    written(tmp_path, HEAD + STEPS, "other.yaml")
    with pytest.raises(PlanError, match=r"other\.yaml:1: plan: isn't the file's name; write `plan: other`"):
        Plans(tmp_path, "other").get()


def test_a_file_is_checked_with_its_warnings_and_loaded_with_its_errors_alone(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + STEPS)
    told = check_plan(path, secrets=False)
    assert {problem.severity for problem in told} == {"warning"}
    assert [problem.check for problem in told] == ["no-mail", "unproven-404", "unproven-404"]
    assert load_plan(path).plan == "acme"


def test_what_a_machine_lacks_is_told_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCOUNTS_URL", raising=False)
    path = written(tmp_path, HEAD + STEPS)
    assert "not-here" in {problem.check for problem in check_plan(path, secrets=True)}
    assert "not-here" not in {problem.check for problem in check_plan(path, secrets=False)}


@pytest.mark.parametrize(
    ("name", "told"),
    [("none.yaml", "there is no such file; check the path"), (".", "is a folder; name the plan's file")],
)
def test_a_file_that_can_t_be_read_is_one_problem_of_the_whole_file(tmp_path: Path, name: str, told: str) -> None:
    (problem,) = check_plan(tmp_path / name, secrets=False)
    assert (problem.line, problem.check) == (0, "file")
    assert problem.told("acme.yaml").startswith(f"acme.yaml: {told}")


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    plans = Plans(a_folder(tmp_path), "acme")
    first: Plan = plans.get()
    assert plans.get() is first
    written(tmp_path, HEAD + STEPS + "deadline: ccpa\n")
    assert plans.get().deadline == "ccpa"
