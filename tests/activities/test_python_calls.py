"""The python action against a real installed package: what it is given, and what its results and mistakes mean."""

import asyncio
import logging
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.actions.action import Call
from activities.actions.answers import Answer, NoAnswer, Permanent, Rules, Transient, meaning_of
from activities.actions.dispatch import Actions
from activities.actions.python import PythonAction
from activities.actions.python_call import PythonCall, Refused, TryLater
from activities.actions.threads import TIMED_OUT
from activities.rendering import RenderingError
from plans.requests import PythonRequest
from plans.secrets import SecretMissing
from plans.services import Limits, PythonService
from tests.support.waiting import eventually
from workflows.names import HeldCause

CANARY = "ada.quillfeather@kanarivogel.example"

SOURCE = """
import asyncio
import datetime
import threading
from datetime import timedelta

from activities.actions.python_call import NotThere, PythonCall, Refused, TryLater

let_go = threading.Event()


def show(call: PythonCall) -> object:
    return {
        "arguments": dict(call.arguments),
        "settings": dict(call.settings),
        "key": call.idempotency_key,
        "seconds": call.timeout.total_seconds(),
        "in_main_thread": threading.current_thread() is threading.main_thread(),
    }


async def show_async(call: PythonCall) -> object:
    await asyncio.sleep(0)
    return {"arguments": dict(call.arguments)}


def returns(call: PythonCall) -> object:
    return call.arguments["value"]


def returns_a_date(call: PythonCall) -> object:
    return {"at": datetime.date(2030, 1, 1), "who": call.arguments["who"]}


def returns_nan(call: PythonCall) -> object:
    return float("nan")


def returns_much(call: PythonCall) -> object:
    return "x" * (1024 * 1024)


def returns_a_trap(call: PythonCall) -> object:
    class Trap(dict):
        def items(self):
            raise RuntimeError(call.arguments["who"])

    return Trap(a=1)


def not_there(call: PythonCall) -> object:
    raise NotThere


def try_later(call: PythonCall) -> object:
    raise TryLater(after=timedelta(seconds=90))


async def try_later_async(call: PythonCall) -> object:
    raise TryLater


def refused(call: PythonCall) -> object:
    raise Refused("legal_hold")


def refused_with_a_value(call: PythonCall) -> object:
    raise Refused(call.arguments["who"])


def crashes(call: PythonCall) -> object:
    raise LookupError(f"no author {call.arguments['who']}")


async def crashes_async(call: PythonCall) -> object:
    raise LookupError(f"no author {call.arguments['who']}")


def exits(call: PythonCall) -> object:
    raise SystemExit(call.arguments["who"])


async def exits_async(call: PythonCall) -> object:
    raise SystemExit(call.arguments["who"])


def times_out_itself(call: PythonCall) -> object:
    raise TimeoutError(call.arguments["who"])


async def times_out_itself_async(call: PythonCall) -> object:
    raise TimeoutError(call.arguments["who"])


def hangs(call: PythonCall) -> object:
    let_go.wait(30)
    return None


cancelled = threading.Event()


async def hangs_async(call: PythonCall) -> object:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.set()
        raise


async def blocks_its_loop(call: PythonCall) -> object:
    let_go.wait(30)


not_a_function = 7
"""

NAMES = [line.split("(")[0].split()[-1] for line in SOURCE.splitlines() if line.startswith(("def ", "async def "))]


def install(folder: Path, *, module: str, source: str, names: dict[str, str]) -> None:
    """What `pip install` leaves behind: a module, and metadata with its entry points."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(textwrap.dedent(source))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    entries = "".join(f"{name} = {module}:{attribute}\n" for name, attribute in names.items())
    (info / "entry_points.txt").write_text(f"[account_retirement.calls]\n{entries}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages; what was imported from it is forgotten afterwards."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    known = set(sys.modules)
    yield site
    for name in set(sys.modules) - known:
        if name.startswith("acme_"):
            del sys.modules[name]


@pytest.fixture
def acme(site: Path) -> Iterator[None]:
    """The package is installed; what hangs in it is let go afterwards."""
    install(
        site,
        module="acme_calls",
        source=SOURCE,
        names={**{name: name for name in NAMES}, "missing": "missing", "not_a_function": "not_a_function"},
    )
    yield
    if "acme_calls" in sys.modules:
        sys.modules["acme_calls"].let_go.set()


@pytest.fixture
async def action() -> PythonAction:
    return PythonAction()


def a_call(name: str, *, key: str | None = None, timeout: float = 10, concurrent: int = 50, **fields: Any) -> Call:
    arguments = fields.pop("arguments", {"who": "{{ subject.email }}"})
    service = PythonService(
        type="python",
        timeout=timedelta(seconds=timeout),
        limits=Limits(concurrent=concurrent),
        settings=fields.pop("settings", {}),
    )
    context = {"user_id": "ada-17", "subject": {"email": CANARY, "n": 7, "roles": ["a", "b"]}, **fields}
    return Call(service=service, request=PythonRequest(call=name, arguments=arguments), context=context, key=key)


def body_of(answer: Answer | NoAnswer) -> Any:
    assert isinstance(answer, Answer), answer
    assert answer.status == 200
    return answer.body


@pytest.mark.usefixtures("acme")
async def test_a_function_is_given_what_the_plan_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "s-1")
    call = a_call(
        "show",
        key="r-1:archive",
        timeout=3,
        settings={"bucket": "b/${env:BUCKET}", "region": "eu"},
        arguments={
            "id": "{{ user_id }}",
            "n": "{{ subject.n }}",
            "all": ["{{ subject.roles }}", 1],
            "t": "n{{ subject.n }}",
        },
    )
    # Through the seam that the steps use.
    actions = Actions(version="1.2.3")
    assert body_of(await actions.call(call)) == {
        "arguments": {"id": "ada-17", "n": 7, "all": [["a", "b"], 1], "t": "n7"},
        "settings": {"bucket": "b/s-1", "region": "eu"},
        "key": "r-1:archive",
        "seconds": 3.0,
        "in_main_thread": False,
    }
    assert await actions.is_route_known(call) is True
    assert actions.place_to_ask(call, url="https://acme.example/jobs/1") is None
    await actions.close()


@pytest.mark.usefixtures("acme")
async def test_an_async_function_is_awaited(action: PythonAction) -> None:
    assert body_of(await action.call(a_call("show_async", arguments={"a": 1}))) == {"arguments": {"a": 1}}


@pytest.mark.usefixtures("acme")
async def test_what_a_function_changes_of_its_arguments_stays_its_own(action: PythonAction, site: Path) -> None:
    install(site, module="acme_greedy", source="def eat(call): call.arguments['roles'].clear()", names={"eat": "eat"})
    call = a_call("eat", arguments={"roles": "{{ subject.roles }}"})
    await action.call(call)
    assert call.context["subject"]["roles"] == ["a", "b"]


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "text", [], {"a": [1, {"b": None}]}, "\ud800"])
@pytest.mark.usefixtures("acme")
async def test_any_plain_data_comes_back(action: PythonAction, value: object) -> None:
    assert body_of(await action.call(a_call("returns", arguments={"value": value}))) == value


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("returns_a_date", "result_not_json", "dict"),
        ("returns_nan", "result_not_json", "float"),
        ("returns_a_trap", "result_not_json", "Trap"),
        ("returns_much", "result_too_large", None),
        ("crashes", "python_error", "LookupError"),
        ("crashes_async", "python_error", "LookupError"),
        ("exits", "python_error", "SystemExit"),
        ("exits_async", "python_error", "SystemExit"),
        ("times_out_itself", "python_error", "TimeoutError"),
        ("times_out_itself_async", "python_error", "TimeoutError"),
        # A code that is none could be a value.
        ("refused_with_a_value", "python_error", "ValueError"),
    ],
)
@pytest.mark.usefixtures("acme")
async def test_a_mistake_is_transient_and_told_by_its_type_alone(
    action: PythonAction, caplog: pytest.LogCaptureFixture, name: str, code: str, kind: str | None
) -> None:
    call = a_call(name)
    with caplog.at_level(logging.DEBUG):
        answer = await action.call(call)
    assert answer == NoAnswer(code=code, touched=True, kind=kind)
    assert meaning_of(answer, Rules(method="")) == Transient(code=code, touched=True)
    told = action.describe(call, answer)
    assert told == f"call {name} → {code}" + (f" ({kind})" if kind else "")
    assert CANARY not in caplog.text + repr(answer) + repr(call)


@pytest.mark.usefixtures("acme")
async def test_what_a_function_says_by_its_exceptions(action: PythonAction) -> None:
    absent = await action.call(a_call("not_there"))
    assert isinstance(absent, Answer) and absent.status == 404
    assert action.describe(a_call("not_there"), absent) == "call not_there → 404"
    later = NoAnswer(code="try_later", touched=True, wait=timedelta(seconds=90))
    assert await action.call(a_call("try_later")) == later
    assert await action.call(a_call("try_later_async")) == NoAnswer(code="try_later", touched=True)
    refused = await action.call(a_call("refused"))
    assert meaning_of(refused, Rules(method="")) == Permanent(code="legal_hold", touched=False)


@pytest.mark.usefixtures("acme")
async def test_a_function_that_hangs_is_given_up(action: PythonAction) -> None:
    # The event loop of the worker isn't theirs.
    hanging = (action.call(a_call(name, timeout=0.1)) for name in ("hangs", "blocks_its_loop"))
    assert await asyncio.gather(*hanging) == [TIMED_OUT, TIMED_OUT]
    hung = [thread for thread in threading.enumerate() if thread.name == "retirement-call"]
    assert hung and all(thread.daemon for thread in hung)


@pytest.mark.usefixtures("acme")
async def test_an_async_function_that_hangs_is_cancelled(action: PythonAction) -> None:
    assert await action.call(a_call("hangs_async", timeout=0.1)) == TIMED_OUT

    def nothing_is_left_behind() -> None:
        assert "acme_calls" in sys.modules and sys.modules["acme_calls"].cancelled.is_set()
        assert "retirement-call" not in [thread.name for thread in threading.enumerate()]

    await eventually(nothing_is_left_behind)


@pytest.mark.usefixtures("acme")
async def test_a_package_that_hangs_is_bounded_and_holds_no_other_up(action: PythonAction, site: Path) -> None:
    install(site, module="acme_other", source="def fine(call): return 'fine'", names={"fine": "fine"})
    hung = await asyncio.gather(*(action.call(a_call("hangs", timeout=0.1, concurrent=2)) for _ in range(2)))
    assert list(hung) == [TIMED_OUT, TIMED_OUT]
    assert await action.call(a_call("returns", concurrent=2)) == NoAnswer(code="stuck", touched=False)
    assert body_of(await action.call(a_call("fine", concurrent=2))) == "fine"


def held(code: str, kind: str | None = None) -> NoAnswer:
    return NoAnswer(code=code, touched=False, held=HeldCause.CONFIGURATION, kind=kind)


async def test_an_unknown_call_is_held_until_a_package_offers_it(action: PythonAction, site: Path) -> None:
    assert await action.call(a_call("fine")) == held("call_unknown")
    install(site, module="acme_late", source="def fine(call): return 'fine'", names={"fine": "fine"})
    assert body_of(await action.call(a_call("fine"))) == "fine"


async def test_a_call_that_two_packages_offer_is_held(action: PythonAction, site: Path) -> None:
    for module in ("acme_one", "acme_two"):
        install(site, module=module, source=f"def fine(call): return {module!r}", names={"fine": "fine"})
    assert await action.call(a_call("fine")) == held("call_ambiguous")


async def test_a_package_that_is_found_on_two_paths_is_one(
    action: PythonAction, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def fine(call): return 'fine'"
    install(site, module="acme_one", source=source, names={"fine": "fine"})
    install(site / "again", module="acme_one", source=source, names={"fine": "fine"})
    monkeypatch.syspath_prepend(site / "again")
    assert body_of(await action.call(a_call("fine"))) == "fine"


@pytest.mark.usefixtures("acme")
async def test_a_function_that_can_t_be_loaded_is_held(action: PythonAction, site: Path) -> None:
    assert await action.call(a_call("missing")) == held("call_not_loadable", "AttributeError")
    assert await action.call(a_call("not_a_function")) == held("call_not_loadable", "int")
    install(site, module="acme_broken", source="import acme_not_installed", names={"broken": "f"})
    assert await action.call(a_call("broken")) == held("call_not_loadable", "ModuleNotFoundError")
    assert action.describe(a_call("broken"), held("call_not_loadable", "X")) == "call broken → call_not_loadable (X)"


async def test_a_module_is_loaded_once(action: PythonAction, site: Path) -> None:
    source = """
        import itertools
        count = itertools.count(1)
        def fine(call): return next(count)
    """
    install(site, module="acme_counting", source=source, names={"fine": "fine"})
    assert [body_of(await action.call(a_call("fine"))) for _ in range(3)] == [1, 2, 3]


@pytest.mark.usefixtures("acme")
async def test_a_missing_setting_or_value_is_our_own_trouble(action: PythonAction) -> None:
    with pytest.raises(SecretMissing, match="NOT_SET"):
        await action.call(a_call("show", settings={"bucket": "${env:NOT_SET}"}))
    with pytest.raises(RenderingError, match="value_missing"):
        await action.call(a_call("show", arguments={"id": "{{ subject.nothing }}"}))


def test_a_call_shows_nothing_of_the_person_or_the_settings() -> None:
    call = PythonCall(
        arguments={"who": CANARY}, settings={"key": "s3cret"}, idempotency_key="r-1:a", timeout=timedelta(seconds=1)
    )
    assert CANARY not in repr(call) and "s3cret" not in repr(call) and "r-1:a" in repr(call)


@pytest.mark.parametrize("code", ["", "Ada", "ada@example.com", "a b", "x" * 64, None])
def test_a_refusal_s_code_is_a_code(code: Any) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        Refused(code)


def test_a_wait_is_a_timedelta() -> None:
    with pytest.raises(TypeError, match="timedelta"):
        TryLater(after=30)  # type: ignore[arg-type]
