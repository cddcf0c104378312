"""Replacing usernames: the order of services, what an unknown outcome does, and what goes on after a crash."""

import csv
import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.jobs import JobKind
from openedx.username_services import Reply
from openedx.usernames import BATCH, lines_told
from sandbox.lms.client import StandInLms
from tests.openedx.desk import Desk, a_desk
from tests.openedx.pipelines import SITE
from tests.support.commands import Ended
from tests.support.waiting import eventually

_COMMAND = "replace-usernames"
_OTHERS = ("ecommerce", "discovery", "credentials")
_ALL = ("lms", *_OTHERS, "forum")
_LMS = "replace_lms"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A desk from which usernames of the stand-in's learners are replaced."""

    desk: Desk

    @property
    def lms(self) -> StandInLms:
        """The stand-in."""
        return self.desk.lms

    @property
    def file(self) -> Path:
        """The names that are to be replaced."""
        return self.desk.folder / "names.csv"

    def learners(self, *usernames: str) -> None:
        """Learners who aren't retiring."""
        for username in usernames:
            self.lms.add_learner(username, state=None)

    def usernames(self) -> list[str]:
        """What they are called now."""
        return sorted(learner["username"] for learner in self.lms.learners())

    def asked(self) -> list[tuple[str, list[dict[str, str]]]]:
        """Which service was asked about whom, in order."""
        prefix = "replace_"
        return [
            (str(request.route).removeprefix(prefix), request.json["username_mappings"])
            for request in self.lms.requests()
            if str(request.route).startswith(prefix)
        ]

    def services_asked(self) -> list[str]:
        """The services alone."""
        return [service for service, _ in self.asked()]

    def results(self) -> list[list[str]]:
        """The result's lines."""
        with (self.desk.folder / "names.result.csv").open(newline="") as file:
            return list(csv.reader(file))

    async def replace(self, *names: str, options: Sequence[str] = ()) -> Ended:
        """Replace names, each as `current,desired`; without any, those of the file. No name is ever told."""
        if names:
            self.file.write_text("".join(f"{name}\n" for name in names))
        ended = await self.desk.retire(_COMMAND, str(self.file), *options)
        for line in self.file.read_text().splitlines():
            for name in line.split(","):
                assert name not in ended.stdout + ended.stderr
        return ended


def a_mapping(*names: str) -> list[dict[str, str]]:
    """As a call brings them."""
    return [dict([name.split(",")]) for name in names]


@pytest.fixture
async def registry(lms: StandInLms, tmp_path: Path) -> AsyncIterator[Registry]:
    """A site that has all services."""
    async with a_desk(tmp_path, lms=lms) as desk:
        desk.write_site(usernames={name: f"{lms.url}/{name}/" for name in _OTHERS})
        yield Registry(desk=desk)


# The order.


async def test_every_service_is_asked_after_the_one_before_with_the_names_of_the_lms(registry: Registry) -> None:
    registry.learners("quinn", "oscar", "taken")

    ended = await registry.replace("quinn,nadia", "oscar,taken")

    assert ended.code == 0, ended.stderr
    # The second name was taken, so the LMS has chosen another one.
    told = a_mapping("quinn,nadia", "oscar,taken1")
    assert registry.asked() == [
        ("lms", a_mapping("quinn,nadia", "oscar,taken")),
        *((service, told) for service in (*_OTHERS, "forum")),
    ]
    assert registry.usernames() == ["nadia", "taken", "taken1"]
    assert registry.results() == [
        ["Original Username", "New Username", "Status"],
        ["quinn", "nadia", "SUCCESS"],
        ["oscar", "taken1", "SUCCESS"],
    ]
    assert stat.S_IMODE((registry.desk.folder / "names.result.csv").stat().st_mode) == 0o600
    assert ended.stdout == f"2 SUCCESS, 0 PARTIALLY FAILED, 0 FAILED; see {registry.file.with_suffix('.result.csv')}\n"


async def test_requests_are_those_of_open_edx(registry: Registry) -> None:
    registry.learners("quinn")
    await registry.replace("quinn,nadia")

    seen = [request for request in registry.lms.requests() if str(request.route).startswith("replace_")]
    assert [(request.method, request.path) for request in seen] == [
        ("POST", "/api/user/v1/accounts/replace_usernames/"),
        ("POST", "/ecommerce/api/v2/user_management/replace_usernames/"),
        ("POST", "/discovery/api/v1/replace_usernames/"),
        ("POST", "/credentials/api/v2/replace_usernames/"),
        ("POST", "/api/discussion/v1/accounts/replace_usernames/"),
    ]
    for request in seen:
        assert request.json == {"username_mappings": [{"quinn": "nadia"}]}
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"].startswith("JWT ")
    assert len(registry.lms.requests()) == len(seen) + 1, "one token serves them all"


async def test_only_names_that_succeeded_so_far_go_on(registry: Registry) -> None:
    registry.learners("quinn", "oscar", "ursula", "victor")
    registry.lms.set(failing_replacements={"lms": ["quinn"], "ecommerce": ["oscar"], "credentials": ["ursula"]})

    ended = await registry.replace("quinn,n1", "oscar,n2", "ursula,n3", "victor,n4")

    assert ended.code == 11
    assert registry.asked() == [
        ("lms", a_mapping("quinn,n1", "oscar,n2", "ursula,n3", "victor,n4")),
        ("ecommerce", a_mapping("oscar,n2", "ursula,n3", "victor,n4")),
        ("discovery", a_mapping("ursula,n3", "victor,n4")),
        ("credentials", a_mapping("ursula,n3", "victor,n4")),
        ("forum", a_mapping("victor,n4")),
    ]
    assert registry.results()[1:] == [
        ["quinn", "n1", "FAILED"],
        ["oscar", "n2", "PARTIALLY FAILED"],
        ["ursula", "n3", "PARTIALLY FAILED"],
        ["victor", "n4", "SUCCESS"],
    ]
    assert ended.stderr.splitlines()[-3:] == [
        "lms: refused: line 1: it says that it could not replace them: see its log; then run this again.",
        "ecommerce: refused: line 2: it says that it could not replace them: see its log; then run this again.",
        "credentials: refused: line 3: it says that it could not replace them: see its log; then run this again.",
    ]


async def test_services_without_an_address_are_skipped(registry: Registry) -> None:
    registry.desk.write_site(usernames={"discovery": f"{registry.lms.url}/discovery"})
    registry.learners("quinn")

    assert (await registry.replace("quinn,nadia")).code == 0
    assert registry.services_asked() == ["lms", "discovery", "forum"]


async def test_many_names_go_in_batches_through_all_services(registry: Registry) -> None:
    registry.desk.write_site()
    names = [f"old{number:03}" for number in range(2 * BATCH + 1)]
    registry.lms.add_learners({"username": name, "email": f"{name}@x", "name": "N", "state": None} for name in names)

    ended = await registry.replace(*(f"{name},new{name}" for name in names))

    assert ended.code == 0, ended.stderr
    assert [(service, len(asked)) for service, asked in registry.asked()] == [
        *(("lms", BATCH), ("forum", BATCH)) * 2,
        ("lms", 1),
        ("forum", 1),
    ]
    assert registry.usernames() == [f"new{name}" for name in names]
    assert [line[2] for line in registry.results()[1:]] == ["SUCCESS"] * len(names)


# Answers that fail, and answers that never come.


async def test_an_unknown_outcome_of_the_lms_is_told_and_never_blindly_repeated(registry: Registry) -> None:
    registry.learners("quinn")
    registry.lms.misbehave("lost_answer", route=_LMS)

    ended = await registry.replace("quinn,nadia")

    assert ended.code == 11
    assert registry.services_asked() == ["lms"]
    assert registry.results()[1:] == [["quinn", "nadia", "FAILED"]]
    assert "lms: the outcome is unknown: line 1. Look in the LMS" in ended.stderr

    again = await registry.replace("quinn,nadia")
    other_file = await registry.replace("quinn,mallory")

    for each in (again, other_file):
        assert (each.code, registry.services_asked()) == (11, ["lms"])
        assert "the outcome is unknown: line 1" in each.stderr


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "other_answer", "status": 200, "body": "no JSON"},
        {"kind": "other_answer", "status": 200, "body": {"successful_replacements": [], "failed_replacements": []}},
        {"kind": "drop"},
        {"kind": "redirect"},
    ],
)
async def test_what_may_have_been_done_is_unknown(registry: Registry, fault: dict[str, Any]) -> None:
    registry.learners("quinn")
    registry.lms.misbehave(route=_LMS, **fault)

    ended = await registry.replace("quinn,nadia", options=["--json"])

    assert (ended.code, ended.facts["unknown"], registry.services_asked()) == (11, 1, ["lms"])


async def test_names_that_were_found_to_be_replaced_go_on_with_the_other_services(registry: Registry) -> None:
    registry.learners("quinn")
    registry.lms.misbehave("lost_answer", route=_LMS)
    await registry.replace("quinn,nadia")

    ended = await registry.replace(options=["--unknown", "replaced"])

    assert ended.code == 0, ended.stderr
    assert registry.services_asked() == [*_ALL]
    assert registry.results()[1:] == [["quinn", "nadia", "SUCCESS"]]


async def test_names_that_were_found_unchanged_are_asked_for_once_more(registry: Registry) -> None:
    registry.learners("quinn")
    registry.lms.misbehave("drop", route=_LMS)
    await registry.replace("quinn,nadia")

    ended = await registry.replace(options=["--unknown", "repeat"])

    assert ended.code == 0, ended.stderr
    assert registry.services_asked() == ["lms", *_ALL]


async def test_killed_while_the_lms_is_asked_the_outcome_is_unknown(registry: Registry) -> None:
    registry.learners("quinn")
    registry.file.write_text("quinn,nadia\n")
    held = registry.lms.hold(route=_LMS, answer=True)
    command = registry.desk.process(_COMMAND, str(registry.file))
    await command.start()
    await eventually(lambda: _assert_equal(registry.lms.holding(held), 1))
    await command.kill()
    registry.lms.release(held)

    ended = await registry.replace()

    assert (ended.code, registry.services_asked()) == (11, ["lms"])
    assert "the outcome is unknown: line 1" in ended.stderr


async def test_killed_behind_the_lms_the_rerun_goes_on_with_the_services(registry: Registry) -> None:
    registry.learners("quinn", "taken")
    registry.file.write_text("quinn,taken\n")
    held = registry.lms.hold(route="replace_discovery")
    command = registry.desk.process(_COMMAND, str(registry.file))
    await command.start()
    await eventually(lambda: _assert_equal(registry.lms.holding(held), 1))
    await command.kill()
    registry.lms.release(held, done=False)

    ended = await registry.replace()

    assert ended.code == 0, ended.stderr
    assert registry.services_asked() == ["lms", "ecommerce", "discovery", "discovery", "credentials", "forum"]
    assert {str(asked) for service, asked in registry.asked() if service != "lms"} == {str(a_mapping("quinn,taken1"))}
    assert registry.results()[1:] == [["quinn", "taken1", "SUCCESS"]]


@pytest.mark.parametrize("status", [429, 409])
async def test_the_lms_is_asked_again_where_it_did_nothing(registry: Registry, status: int) -> None:
    registry.learners("quinn")
    registry.lms.misbehave("status", route=_LMS, status=status, headers={"Retry-After": "0"})

    assert (await registry.replace("quinn,nadia")).code == 0
    assert registry.services_asked() == ["lms", *_ALL]


async def test_other_services_are_asked_again_after_a_lost_answer(registry: Registry) -> None:
    registry.learners("quinn")
    registry.lms.misbehave("lost_answer", route="replace_discovery")

    assert (await registry.replace("quinn,nadia")).code == 0
    assert registry.services_asked() == ["lms", "ecommerce", "discovery", "discovery", "credentials", "forum"]


async def test_a_service_that_failed_is_where_the_next_run_goes_on(registry: Registry) -> None:
    registry.learners("quinn", "oscar")
    registry.lms.misbehave("status", route="replace_discovery", status=403)

    ended = await registry.replace("quinn,nadia", "oscar,omar")

    assert (ended.code, registry.services_asked()) == (11, ["lms", "ecommerce", "discovery"])
    assert [line[2] for line in registry.results()[1:]] == ["PARTIALLY FAILED"] * 2
    assert "discovery: http_403: lines 1-2: it does not let the service account in" in ended.stderr

    # In a file of their own, too.
    again = await registry.replace("oscar,omar")
    assert again.code == 0, again.stderr
    assert registry.asked()[3:] == [
        (service, a_mapping("oscar,omar")) for service in ("discovery", "credentials", "forum")
    ]
    with registry.desk.ledger() as ledger:
        assert len(await ledger.jobs(site=SITE, kind=JobKind.USERNAMES)) == 1

    rest = await registry.replace("quinn,nadia", "oscar,omar")
    assert rest.code == 0 and [line[2] for line in registry.results()[1:]] == ["SUCCESS"] * 2
    assert registry.asked()[6:] == [
        (service, a_mapping("quinn,nadia")) for service in ("discovery", "credentials", "forum")
    ]
    with registry.desk.ledger() as ledger:
        assert await ledger.jobs(site=SITE, kind=JobKind.USERNAMES) == []


async def test_names_of_a_batch_that_succeeded_are_not_sent_again_because_of_another_batch(registry: Registry) -> None:
    registry.desk.write_site()
    names = [f"old{number:03}" for number in range(BATCH + 1)]
    registry.lms.add_learners({"username": name, "email": f"{name}@x", "name": "N", "state": None} for name in names)
    registry.lms.set(failing_replacements={"lms": [names[-1]]})
    assert (await registry.replace(*(f"{name},new{name}" for name in names))).code == 11
    registry.lms.set(failing_replacements={})

    # Whoever has the old name by now is somebody else.
    registry.learners(names[0])
    ended = await registry.replace()

    assert ended.code == 0, ended.stderr
    assert registry.asked()[3:] == [(service, a_mapping(f"{names[-1]},new{names[-1]}")) for service in ("lms", "forum")]
    assert names[0] in registry.usernames()


async def test_a_service_account_that_is_not_let_in_is_asked_once_and_replaces_nobody(registry: Registry) -> None:
    names = [f"old{number:03}" for number in range(BATCH + 1)]
    registry.lms.misbehave("status", route=_LMS, status=403, times=None)

    ended = await registry.replace(*(f"{name},new{name}" for name in names))

    assert (ended.code, registry.services_asked()) == (11, ["lms"])
    assert {line[2] for line in registry.results()[1:]} == {"FAILED"}
    assert f"lms: http_403: lines 1-{BATCH}: it does not let" in ended.stderr
    assert f"lms: not_asked: line {BATCH + 1}: they were not sent" in ended.stderr


async def test_without_the_secret_nothing_is_sent_and_nothing_is_unknown(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.learners("quinn")
    monkeypatch.delenv("OPENEDX_CLIENT_SECRET")

    ended = await registry.replace("quinn,nadia", options=["--json"])

    assert (ended.code, ended.facts["unknown"], registry.lms.requests()) == (11, 0, [])
    assert "lms: secret_missing: line 1: its credentials are not on this machine" in ended.stderr
    monkeypatch.setenv("OPENEDX_CLIENT_SECRET", registry.lms.settings().client_secret)
    assert (await registry.replace()).code == 0


async def test_a_dry_run_asks_nobody(registry: Registry) -> None:
    registry.learners("quinn")

    ended = await registry.replace("quinn,nadia", options=["--dry-run"])

    assert ended.stdout == f"would replace 1 name, one after another in: {', '.join(_ALL)}\n"
    assert ended.code == 0 and registry.lms.requests() == []
    assert not (registry.desk.folder / "names.result.csv").exists()


async def test_what_is_on_record_is_sealed(registry: Registry) -> None:
    registry.learners("quinn-wirth")
    registry.lms.misbehave("lost_answer", route=_LMS)

    await registry.replace("quinn-wirth,nadia-novak")

    with registry.desk.ledger() as ledger:
        [job] = await ledger.jobs(site=SITE, kind=JobKind.USERNAMES)
        assert job.values["names"][0]["current"] == "quinn-wirth"
    raw = b"".join(path.read_bytes() for path in registry.desk.folder.glob("ledger.db*"))
    assert b"quinn-wirth" not in raw and b"nadia-novak" not in raw


async def test_a_result_that_cannot_be_written_is_told_before_anybody_is_asked(registry: Registry) -> None:
    registry.learners("quinn")

    for target in (registry.desk.folder / "nowhere" / "result.csv", registry.file):
        ended = await registry.replace("quinn,nadia", options=["--result", str(target)])
        assert ended.code == 2
    assert registry.lms.requests() == []
    assert registry.file.read_text() == "quinn,nadia\n"


def test_lines_are_told_as_people_write_them() -> None:
    assert lines_told([7]) == "line 7"
    assert lines_told([3, 1, 2, 9]) == "lines 1-3, 9"
    assert lines_told(range(1, 100, 2)).endswith(" and 30 more")


def test_no_name_is_in_the_repr_of_an_answer() -> None:
    assert "quinn" not in repr(Reply(replaced={"quinn": "nadia"}, refused=frozenset({"quinn"})))


def _assert_equal(value: object, expected: object) -> None:
    assert value == expected
