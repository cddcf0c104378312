"""What is sent is read leniently: nothing is lost for its shape, only BadField is raised, no value repeated."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import reading
from workflows.messages import Extend, Skip, Start
from workflows.reading import UNREADABLE, BadField, read_decide, read_extend, read_start, read_wish

CANARY = "ada.lovelace@person.example"

#: Whatever can arrive in place of one JSON object.
WRONG_SHAPES: list[tuple[Any, ...]] = [
    (),
    (None,),
    ("now please",),
    (42,),
    (1.5,),
    (True,),
    (["rescind"],),
    ({"by": "support-7"}, {"by": "support-8"}),
    (b"\x00\xff",),
    (UNREADABLE,),
    ("x" * 65_536,),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
near_misses = st.sampled_from(
    [
        "",
        " ",
        "-",
        "P",
        "P1D",
        "PT-1S",
        "P99999999999Y",
        "PT1e400S",
        "14d",
        "-1d",
        "999999999999w",
        "2026-13-01",
        "2026-03-02",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "inf",
        "nan",
        "1e3",
        "17e8",
        "�",
        "\u202eevil",
        "a b",
        CANARY,
        "x" * 65,
        "0",
        "2026-03-02T10:00:00Z",
        "12:00",
        "true",
        "null",
    ]
)
fields = st.sampled_from([*Start.model_fields, *Extend.model_fields, "step", "decision", "unknown", CANARY])
objects = st.dictionaries(fields, json_values | near_misses | st.integers(-(10**30), 10**30), max_size=6)
anything = st.lists(json_values | objects | st.binary() | st.just(UNREADABLE), max_size=3).map(tuple) | objects.map(
    lambda fields: (fields,)
)


def refusal(*raw: Any) -> str:
    """What read_start says against it."""
    with pytest.raises(BadField) as bad:
        read_start(raw)
    return str(bad.value)


# --- start -------------------------------------------------------------------------------------------------------


def test_a_user_id_is_all_it_takes() -> None:
    assert read_start([{"user_id": "u-4711"}]) == Start(user_id="u-4711")
    assert read_start([{"user_id": 4711, "tenant": None, "cool_off": None}]) == Start(user_id="4711")


def test_every_field_is_read() -> None:
    start = read_start(
        [
            {
                "user_id": "u-4711",
                "tenant": "acme",
                "plan": "accounts",
                "request_id": "7f0c",
                "requested_by": "support-7",
                "requested_at": "2026-03-02T10:00:00+01:00",
                "cool_off": "1h30m",
                "reason_code": "gdpr",
                "locale": "de",
                "again": True,
                "resume": "r-abc",
                "current_plan": True,
                "go_back": False,
                "skip": [{"step": "forum", "by": "ops-3", "reason_code": "closed"}],
            }
        ]
    )
    assert start == Start(
        user_id="u-4711",
        tenant="acme",
        plan="accounts",
        request_id="7f0c",
        requested_by="support-7",
        requested_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        cool_off=timedelta(minutes=90),
        reason_code="gdpr",
        locale="de",
        again=True,
        resume="r-abc",
        current_plan=True,
        skip=(Skip(step="forum", by="ops-3", reason_code="closed"),),
    )


def told_alike(value: object) -> str:
    """An id that is the same in every process."""
    return str(value).replace(str(UNREADABLE), "unreadable")[:24].encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("raw", WRONG_SHAPES, ids=told_alike)
def test_a_start_that_is_no_object_is_refused_with_an_example(raw: tuple[Any, ...]) -> None:
    assert refusal(*raw).startswith('input: must be one JSON object, for example {"user_id": ')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", None), ("user_id", ""), ("user_id", "x" * 513), ("user_id", "a\nb"), ("user_id", True),
        ("user_id", ["u-1"]), ("user_id", "u\u202e1"), ("user_id", "u\ud8001"), ("user_id", 1.0),
        ("user_id", UNREADABLE),
        ("tenant", ""), ("tenant", "a b"), ("tenant", CANARY), ("tenant", "x" * 65), ("tenant", {}),
        ("plan", 1.5), ("plan", "../sand box"),
        ("request_id", "x" * 129), ("request_id", "a b"), ("request_id", CANARY),
        ("requested_by", CANARY), ("requested_by", "Ada Lovelace"),
        ("requested_at", "yesterday"), ("requested_at", 1700000000), ("requested_at", "1700000000"),
        ("requested_at", ""), ("requested_at", "1700000000.5"), ("requested_at", "17e8"), ("requested_at", "inf"),
        ("requested_at", "0001-01-01T00:00:00+14:00"), ("requested_at", "2026-02-30"), ("requested_at", True),
        ("cool_off", "soon"), ("cool_off", -1), ("cool_off", "-1d"), ("cool_off", "P-1D"), ("cool_off", 14),
        ("cool_off", []),
        ("reason_code", "they were rude"), ("locale", "de DE"),
        ("again", "true"), ("again", 1), ("current_plan", "yes"), ("go_back", {}), ("resume", "a b"),
        ("skip", "forum"), ("skip", {"step": "forum"}), ("skip", ["forum"]), ("skip", [{"step": "forum"}]),
        ("skip", [{"step": "forum", "by": CANARY, "reason_code": "closed"}]),
    ],
    ids=told_alike,
)  # fmt: skip
def test_a_field_that_cannot_be_used_is_named_without_its_value(field: str, value: Any) -> None:
    message = refusal({"user_id": "u-1", field: value})
    assert message.startswith(f"{field}: must be ")
    assert CANARY not in message


@pytest.mark.parametrize("digits", [100, 5000])
def test_a_number_of_any_length_is_no_crash(digits: int) -> None:
    number = 10**digits
    for field in ("user_id", "tenant", "request_id", "plan"):
        try:
            read_start([{"user_id": "u-1", field: number}])
        except BadField as bad:
            assert bad.field == field


def test_an_unknown_field_is_refused_so_that_a_misspelt_cool_off_is_no_default() -> None:
    assert refusal({"user_id": "u-1", "cooloff": "30d"}).startswith("unknown field cooloff: must be one of again, ")
    assert refusal({"user_id": "u-1", CANARY: 1}).startswith("unknown field (a name not shown): must be one of ")


@pytest.mark.parametrize(
    ("written", "length"),
    [("14d", timedelta(days=14)), ("P14D", timedelta(days=14)), ("pt1h", timedelta(hours=1)), ("0", timedelta(0)),
     (0, timedelta(0)), ("1h 30m", timedelta(minutes=90))],
)  # fmt: skip
def test_durations_are_read_as_plans_and_as_iso_write_them(written: object, length: timedelta) -> None:
    assert read_start([{"user_id": "u-1", "cool_off": written}]).cool_off == length


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-03-02T10:00:00Z", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02T10:00:00", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("2026-03-02T10:00:00.250+05:30", datetime(2026, 3, 2, 4, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_instants_without_an_offset_are_utc(written: str, instant: datetime) -> None:
    assert read_start([{"user_id": "u-1", "requested_at": written}]).requested_at == instant


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_wish_says_who_and_why() -> None:
    wish = read_wish([{"by": "support-7", "reason_code": "changed_mind", "more": 1}])
    assert (wish.by, wish.reason_code, wish.unreadable) == ("support-7", "changed_mind", False)


@pytest.mark.parametrize("raw", WRONG_SHAPES, ids=told_alike)
def test_a_wish_of_any_shape_is_a_wish(raw: tuple[Any, ...]) -> None:
    wish = read_wish(raw)
    silent = raw in ((), (None,))
    assert wish.unreadable is not silent
    assert wish.by == ("support-7" if len(raw) == 2 else None)


@pytest.mark.parametrize("value", [CANARY, "Ada Lovelace", "", "x" * 65, 7, ["support-7"], "a\x00b"])
def test_what_cannot_be_recorded_in_clear_is_dropped_and_that_is_said(value: object) -> None:
    for field in ("by", "reason_code"):
        wish = read_wish([{field: value}])
        assert (wish.by, wish.reason_code, wish.unreadable) == (None, None, True)


def test_an_extend_is_until_an_instant_or_by_a_duration() -> None:
    until = read_extend([{"until": "2026-03-20", "by": "support-7"}])
    assert (until.until, until.by_duration, until.by) == (datetime(2026, 3, 20, tzinfo=UTC), None, "support-7")
    assert read_extend([{"by_duration": "7d"}]).by_duration == timedelta(days=7)


@pytest.mark.parametrize("raw", WRONG_SHAPES, ids=told_alike)
def test_an_extend_of_a_wrong_shape_is_refused(raw: tuple[Any, ...]) -> None:
    with pytest.raises(BadField):
        read_extend(raw)


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({}, "until or by_duration"),
        ({"until": "2026-03-20", "by_duration": "7d"}, "until or by_duration"),
        ({"until": "later"}, "until"),
        ({"by_duration": "-7d"}, "by_duration"),
        ({"by_duration": "P-7D"}, "by_duration"),
        ({"by_duration": 7}, "by_duration"),
    ],
)
def test_an_extend_that_says_nothing_usable_is_refused(fields: dict[str, Any], bad: str) -> None:
    with pytest.raises(BadField, match=f"^{bad}: must be ") as refused:
        read_extend([fields])
    assert refused.value.field == bad


def test_a_decision_names_step_and_way_out() -> None:
    decide = read_decide([{"step": "forum", "decision": "skip", "by": "ops-3", "reason_code": "closed"}])
    assert (decide.step, decide.decision, decide.by, decide.reason_code) == ("forum", "skip", "ops-3", "closed")


@pytest.mark.parametrize("raw", [*WRONG_SHAPES, ({"step": 7, "decision": ["skip"]},)], ids=told_alike)
def test_a_decision_that_cannot_be_understood_decides_nothing(raw: tuple[Any, ...]) -> None:
    decide = read_decide(raw)
    assert (decide.step, decide.decision) == (None, None)


# --- properties --------------------------------------------------------------------------------------------------


@given(anything)
def test_nothing_but_bad_field_is_ever_raised(raw: tuple[Any, ...]) -> None:
    for read in (read_wish, read_decide):
        read(raw)
    for refuse in (read_start, read_extend):
        try:
            refuse(raw)
        except BadField as bad:
            assert bad.__cause__ is None
            assert bad.__suppress_context__ or bad.__context__ is None


@given(anything)
def test_what_is_read_can_be_written_and_says_only_codes(raw: tuple[Any, ...]) -> None:
    for read in (read_wish, read_decide):
        for value in read(raw).model_dump(mode="json").values():
            assert value is None or isinstance(value, bool) or reading.is_code(value)
    try:
        start = read_start(raw)
    except BadField:
        return
    assert Start.model_validate_json(start.model_dump_json()) == start
    assert start.cool_off is None or start.cool_off >= timedelta(0)
    assert start.requested_at is None or start.requested_at.utcoffset() == timedelta(0)


@given(fields, st.text(alphabet="QXZ@ 0-9", min_size=6) | st.integers(min_value=10**6))
def test_no_error_repeats_a_value(field: str, value: str | int) -> None:
    for read in (read_start, read_extend):
        try:
            read([{"user_id": "", field: value}])
        except BadField as bad:
            assert str(value) not in str(bad)
            assert CANARY not in str(bad)


@given(json_values)
def test_any_json_that_arrives_alone_is_read(value: object) -> None:
    (arrived,) = json.loads(json.dumps([value], allow_nan=True))
    assert read_wish([arrived]).by is None or isinstance(arrived, dict)
