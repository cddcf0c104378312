"""What is noted at a source names nobody, however a server writes what it was told of a person."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from activities.mirroring.notes import LONGEST_NOTE, LONGEST_QUOTE, ending, failing, masked, quoted, starting

MASK = "[learner]"
PERSON: dict[str, Any] = {
    "username": "Ann",
    "email": "ann.b@example.org",
    "name": "Ann B. (née [C] $1 \\1)",
    "row_id": 46,
    "lms_user_id": 5213599,
    "locked": True,
    "phone": None,
    "emails": ["a@x.example", {"work": "b@y.example"}],
}


def noted(text: str, **values: Any) -> str:
    return masked(text, values=values or PERSON, mask=MASK)


def test_each_kind_of_note_says_what_people_look_for_at_the_source() -> None:
    assert starting("RETIRING_POSTS") == "Starting: RETIRING_POSTS"
    assert ending("POSTS_COMPLETE", told="HTTP 204") == "Ending: POSTS_COMPLETE with response:\nHTTP 204"
    assert failing("RETIRING_POSTS", code="http_500", detail="HTTP 500 POST /posts", said="boom") == (
        "Error in RETIRING_POSTS: http_500\nHTTP 500 POST /posts\nboom"
    )
    assert failing("RETIRING_POSTS", code="timeout", detail=None, said=None) == "Error in RETIRING_POSTS: timeout"


def test_no_more_is_quoted_and_noted_than_the_source_takes() -> None:
    assert len(quoted("x" * 5_000, values=PERSON, mask=MASK, cut_at=10_000)) == LONGEST_QUOTE
    assert len(noted("y" * 5_000)) == LONGEST_NOTE
    # The mask may make it longer: still no more than that.
    assert len(noted("Ann " * 300)) == LONGEST_NOTE


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("no such user Ann", "no such user [learner]"),
        ("ANN, ann, aNN", "[learner], [learner], [learner]"),
        ("user 'Ann' <ann.b@example.org>", "user '[learner]' <[learner]>"),
        # The longest first: of an address that begins with the name nothing is left over.
        ("ann.b@example.org", "[learner]"),
        ("annxb@example.org", "[learner]xb@example.org"),
        ("name=Ann B. (née [C] $1 \\1)!", "name=[learner]!"),
        ("a@x.example, b@y.example", "[learner], [learner]"),
        # What is no name or address of anybody's stays readable.
        ("True, None, null, HTTP 46", "True, None, null, HTTP 46"),
        ("", ""),
    ],
)
def test_a_value_is_masked_however_it_is_written(said: str, expected: str) -> None:
    assert noted(said) == expected


@pytest.mark.parametrize("cut", range(LONGEST_QUOTE - 30, LONGEST_QUOTE + 30))
def test_of_a_value_at_the_end_of_a_quote_no_half_is_left(cut: int) -> None:
    said = f"{'x' * cut} ann.b@example.org {'y' * 500}"
    told = quoted(said, values={"email": "ann.b@example.org"}, mask="#", cut_at=10_000)
    assert set(told) <= set("x y#")


@pytest.mark.parametrize("length", range(1, len("ann.b@example.org") + 1))
def test_of_a_value_that_was_cut_before_it_came_to_us_no_half_is_left(length: int) -> None:
    """Whoever kept the service's words has cut them somewhere, perhaps in the middle of an address."""
    said = f"nobody of the address {'ann.b@example.org'[:length]}"
    told = quoted(said, values={"email": "ann.b@example.org"}, mask="#", cut_at=len(said))
    assert told and "nobody of the address".startswith(told.strip())


@pytest.mark.parametrize("empty", ["", "   ", None, [], {}, False])
def test_what_is_empty_masks_nothing(empty: object) -> None:
    assert noted("all is well", username=empty) == "all is well"


def test_a_value_of_only_digits_masks_no_part_of_a_status() -> None:
    """A username may be a number."""
    assert noted("HTTP 500: 50 is gone, 5000 are left", username="50") == "HTTP 500: [learner] is gone, 5000 are left"


def test_the_mask_is_never_masked_and_never_read_as_a_pattern() -> None:
    assert masked("learner and Ann", values={"a": "learner", "b": "Ann"}, mask="[learner]") == "[learner] and [learner]"
    assert masked("Ann", values={"a": "Ann"}, mask=r"\g<0>\1") == r"\g<0>\1"


def test_a_value_that_is_a_pattern_is_only_itself() -> None:
    assert noted("abc .* abc", username=".*") == "abc [learner] abc"
    assert noted("(a|b) a b", username="(a|b)") == "[learner] a b"
    assert noted("a+", username="a+") == "[learner]"
    assert noted("what\\d", username="\\d") == "what[learner]"


def test_thousands_of_values_are_masked_at_once() -> None:
    values = {f"v{n}": f"person-{n}@example.org" for n in range(2_000)}
    note = noted("person-7@example.org and person-1999@example.org", **values)
    assert note == "[learner] and [learner]"


@given(value=st.text(min_size=1, max_size=40), before=st.text(max_size=40), after=st.text(max_size=40))
def test_no_text_of_a_person_gets_through(value: str, before: str, after: str) -> None:
    stripped = value.strip()
    assume(stripped and not stripped.isdecimal())
    note = masked(f"{before}{stripped}{after}", values={"username": value}, mask="#")
    assume("#" not in stripped and len(note) < LONGEST_NOTE)
    # What is left over on both sides of a mask may not make the value anew.
    assert re.search(re.escape(stripped), note, flags=re.IGNORECASE) is None
