"""Ids and values that were made to be taken for something else reach every service as what they are."""

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest

from sandbox.client import Person
from tests.support.plans import brisk
from tests.support.stage import Retirement, Stage
from workflows import names
from workflows.messages import Result
from workflows.names import Outcome, Reason

IDS = [
    "../admin",
    "../../users/admin",
    "admin/../admin",
    "/admin",
    "..%2fadmin",
    "%2e%2e",
    "..\\admin",
    "admin#",
    "admin?",
    "admin?id=other",
    "admin;v=1",
    "a&b=c",
    "a+b c",
    " admin ",
    "%",
    "{{7*7}}",
    "{% raw %}",
    "${env:HOME}",
    "${file:/etc/passwd}",
    "'; drop table users; --",
    "\" or ''='",
    "<script>alert(1)</script>",
    "\U0001f99c\u2764\ufe0f",
    "\u0661\u0662\u0663",
    "a\u0308o\u0308",
    "None",
    "0",
    "x" * 512,
]

REFUSED_IDS: list[Any] = [
    "",
    "line\r\nX-Admin: true",
    "tab\tbed",
    "\x00",
    "\x1b[2J",
    "ada\u202enimda",
    "\ufeffada",
    "\u2028ada",
    "x" * 513,
    "x" * 65536,
    None,
    True,
    1.5,
    ["admin"],
    {"$ne": None},
]

ADDRESSES = [
    "ada@person.example\r\nBcc: everybody@person.example",
    "ada@person.example, everybody@person.example",
    "ada@person.example>\r\nRCPT TO:<everybody@person.example",
    "{{7*7}}@person.example\n",
    "no address",
    "x" * 65536,
]

VALUES = [
    "Ada\r\nBcc: everybody@person.example",
    "Ada\nSubject: You have won",
    "Ada\x00\x1b[2J",
    "{{7*7}}{% for a in range(9) %}a{% endfor %}",
    "{{ ''.__class__.__mro__ }}",
    "${env:HOME}",
    "'; delete from users; --",
    "<b>Ada</b><img src=x onerror=alert(1)>",
    "Ada\u202e.example.www",
    "\U0001f99c \u2764\ufe0f",
    '"Ada" <root@person.example>,',
    "=?utf-8?b?QWRh?=",
    "x" * 65536,
]


#: Whom half of the ids would like to be taken for.
BYSTANDER = Person(user_id="admin", email="admin@person.example")

WITH_IDS = [
    Person(user_id=id, username=f"hostile-{number}", name="Ada", email=f"hostile-{number}@person.example")
    for number, id in enumerate(IDS)
]
WITH_VALUES = [
    Person(username=f"{value}{number}", name=value, phone=value, locale=value, email=f"value-{number}@person.example")
    for number, value in enumerate(VALUES)
]
WITH_ADDRESSES = [Person(email=address) for address in ADDRESSES]


def shown(value: object) -> str:
    """A value as the name of a test."""
    return ascii(getattr(value, "name", value))[:30]


@pytest.fixture(scope="module")
async def results(stage: Stage) -> dict[str, Result]:
    """What became of each person, by id. All are retired at once, beside somebody who is not."""
    people = [*WITH_IDS, *WITH_VALUES, *WITH_ADDRESSES]
    stage.sandbox.add_people([BYSTANDER, *people])
    plan = stage.plan("hostile", brisk)

    async def retired(person: Person) -> Result:
        return await (await stage.start(person, cool_off="0s", plan=plan)).result()

    return {
        person.user_id: result
        for person, result in zip(people, await asyncio.gather(*map(retired, people)), strict=True)
    }


@pytest.mark.parametrize("person", WITH_IDS, ids=lambda person: shown(person.user_id))
async def test_a_hostile_id_is_one_persons_id(stage: Stage, results: dict[str, Result], person: Person) -> None:
    assert results[person.user_id].outcome is Outcome.COMPLETE
    for name, effects in {
        "accounts": ["lock", "erase"],
        "forum": ["mute", "erase"],
        "newsletter": ["accept_deletion", "erase"],
    }.items():
        service = stage.sandbox.services[name]
        assert service.effects_on(person) == effects, name
        assert service.kept(person) is None, name
    asked = stage.sandbox.accounts.requests(person)
    assert asked
    assert {unquote(request.path.split("/")[2]) for request in asked} == {person.user_id}
    assert [dict(mail["headers"])["to"] for mail in stage.sandbox.mailbox.mails(person)] == [f"Ada <{person.email}>"]


@pytest.mark.parametrize("name", ["accounts", "forum", "newsletter"])
async def test_nobody_else_was_meant(stage: Stage, results: dict[str, Result], name: str) -> None:
    service = stage.sandbox.services[name]
    assert service.kept(BYSTANDER) is not None
    assert service.effects(BYSTANDER) == []
    assert service.requests(BYSTANDER) == []


@pytest.mark.parametrize("user_id", [".", ".."])
async def test_an_id_that_no_path_can_hold_is_asked_for_nowhere(stage: Stage, user_id: str) -> None:
    result = await (await stage.start(user_id, cool_off="0s")).result()
    assert (result.outcome, result.reason, result.code) == (Outcome.ABORTED, Reason.LOOKUP_FAILED, "unsafe_value")
    assert stage.sandbox.accounts.requests(user_id) == []


async def test_what_is_no_id_is_refused_by_name(stage: Stage) -> None:
    async def refused(number: int) -> None:
        handle = await stage.client.start_workflow(
            names.WORKFLOW_TYPE,
            {"user_id": REFUSED_IDS[number]},
            id=f"retire-user-refused-{number}",
            task_queue=names.QUEUE,
        )
        error = await Retirement(stage=stage, handle=handle).error()
        assert error.type == names.BAD_REQUEST_ERROR, shown(REFUSED_IDS[number])
        assert error.message == "user_id: must be 1 to 512 printable characters"
        assert list(error.details) == []

    await asyncio.gather(*map(refused, range(len(REFUSED_IDS))))


@pytest.mark.parametrize("person", WITH_VALUES, ids=shown)
async def test_a_hostile_value_of_a_person_stays_one(stage: Stage, results: dict[str, Result], person: Person) -> None:
    assert results[person.user_id].outcome is Outcome.COMPLETE
    assert stage.sandbox.newsletter.effects_on(person) == ["accept_deletion", "erase"]
    assert stage.sandbox.accounts.kept(person) is None
    [mail] = stage.sandbox.mailbox.mails(person)
    assert not {"bcc", "cc"} & {str(name).lower() for name in dict(mail["headers"])}
    assert "won" not in mail["subject"]
    to = dict(mail["headers"])["to"]
    assert to == person.email or to.endswith(f" <{person.email}>")
    for part in (mail["text"], mail["html"]):
        assert "Hello 49" not in part and "aaaaaaaaa" not in part and "/root" not in part
        assert "\u202e" not in part and len(part) < 20_000
    assert "<img src=x" not in mail["html"] and "<b>Ada" not in mail["html"]


@pytest.mark.parametrize("person", WITH_ADDRESSES, ids=lambda person: shown(person.email))
async def test_what_is_no_address_is_erased_and_not_written_to(
    stage: Stage, results: dict[str, Result], person: Person
) -> None:
    result = results[person.user_id]
    assert result.outcome is Outcome.COMPLETE and result.retirement_id is not None
    assert stage.sandbox.newsletter.kept(person) is None
    told = {(row.result, row.code) for row in await stage.ledger.mails(result.retirement_id)}
    # A line break at the end is a slip of whoever typed it, and an address without it is one.
    assert told == ({("sent", None)} if person.email.endswith("\n") else {("given_up", "bad_address")})


async def test_nobody_else_was_written_to(stage: Stage, results: dict[str, Result]) -> None:
    for address in ("everybody@person.example", "root@person.example", BYSTANDER.email):
        assert stage.sandbox.mailbox.mails(address) == []
