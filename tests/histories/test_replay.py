"""What retirements of earlier versions did, open ones too, is decided the same way by today's workflow."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.histories.record import ALL
from worker.converter import DATA_CONVERTER
from worker.runtime import WORKFLOW_RUNNER
from workflows import retire_user, step_graph
from workflows.deliver_mail import DeliverMail
from workflows.follow_up import FollowUp
from workflows.messages import StepOutline
from workflows.retire_user import RetireUser
from workflows.transfer_ownership import TransferOwnership

STORED = sorted(Path(__file__).parent.glob("*/*.json"))

#: The Replayer waits for ever for some histories that it can't follow.
LONGEST_REPLAY = 20.0


async def replay(path: Path) -> None:
    """Replay one history.

    Raises:
        NondeterminismError: today's workflow decides otherwise.
    """
    events = await asyncio.to_thread(events_of, path)
    id = events[0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    history = WorkflowHistory.from_json(id, {"events": events})
    replayer = Replayer(
        workflows=[RetireUser, TransferOwnership, DeliverMail, FollowUp],
        data_converter=DATA_CONVERTER,
        workflow_runner=WORKFLOW_RUNNER,
    )
    async with asyncio.timeout(LONGEST_REPLAY):
        await replayer.replay_workflow(history)


def events_of(path: Path) -> list[dict[str, Any]]:
    """The events of a history."""
    events: list[dict[str, Any]] = json.loads(path.read_text())["events"]
    return events


def test_every_scenario_is_stored() -> None:
    assert len(STORED) >= 30
    assert {path.stem for path in STORED} >= set(ALL)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_stored_history_replays(path: Path) -> None:
    await replay(path)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_stored_is_open_or_ended_as_its_name_says(path: Path) -> None:
    last = events_of(path)[-1]["eventType"]
    ended = last.startswith("EVENT_TYPE_WORKFLOW_EXECUTION_") and "SIGNALED" not in last and "UPDATE" not in last
    assert ended is not path.stem.startswith("open_"), last


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_nothing_stored_tells_where_it_was_recorded(path: Path) -> None:
    text = path.read_text()
    payloads = [base64.b64decode(data) for data in re.findall(r'"data": "([^"]*)"', text)]
    assert payloads
    everything = text + "\n".join(payload.decode(errors="replace") for payload in payloads)
    assert set(re.findall(r'"identity": "([^"]*)"', text)) == {"scrubbed"}
    assert re.findall(r"/(?:home|work|tmp|root|Users|var)/|127\.0\.0\.1|\b\d+@\w", everything) == []


@pytest.mark.parametrize(
    "name", ["complete", "rescinded_in_cool_off", "errored_forward", "open_in_cool_off", "open_while_held"]
)
async def test_a_changed_order_of_commands_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a graph in another order, which is as good to the services and not to a run that has begun."""
    run_graph = step_graph.run_graph

    async def in_another_order(steps: tuple[StepOutline, ...], *rest: Any) -> Any:
        return await run_graph(tuple(reversed(steps)), *rest)

    monkeypatch.setattr(retire_user, "run_graph", in_another_order)
    stored = [path for path in STORED if path.stem == name]
    assert stored
    for path in stored:
        with pytest.raises(NondeterminismError):
            await replay(path)
