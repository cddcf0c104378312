"""Somebody made up has an id of the same form, and is nobody."""

import re
import uuid
from typing import Any

import pytest

from starter.strangers import stranger_like, stranger_of


@pytest.mark.parametrize(
    ("like", "form"),
    [
        ("4711", r"9\d{17}"),
        ("ada@example.org", r"nobody-[0-9a-f]{16}@nobody\.invalid"),
        ("u-17", r"nobody-[0-9a-f]{16}"),
        ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
        ("1B4E28BA-2FA1-11D2-883F-0016D3CCA427", r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[0-9A-F]{4}-[0-9A-F]{12}"),
        ("1b4e28ba2fa111d2883f0016d3cca427", r"[0-9a-f]{32}"),
        ("not-a-uuid-but-of-the-same-length-xx", r"nobody-[0-9a-f]{16}"),
    ],
)
def test_a_stranger_s_id_has_the_form_of_the_given_one(like: str, form: str) -> None:
    made_up = stranger_like(like)
    assert re.fullmatch(form, made_up), made_up
    assert made_up != stranger_like(like)


def test_whatever_tells_who_somebody_is_becomes_somebody_else_s() -> None:
    known: dict[str, object] = {
        "id": str(uuid.uuid4()),
        "email": "ada@example.org",
        "roles": ["admin"],
        "locked": True,
        "phone": "",
    }
    context: dict[str, Any] = {"user_id": "u-17", "tenant": "acme", "subject": known}
    stranger = stranger_of(context)
    assert stranger["tenant"] == "acme"
    assert {name for name, value in stranger["subject"].items() if value == known[name]} == {"roles", "locked", "phone"}
    assert stranger["user_id"] != "u-17"
    assert context["subject"]["email"] == "ada@example.org"
