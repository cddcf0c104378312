"""What `retire status` and a waiting command tell of a long step that is under way, from its heartbeats."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo

from ledger.rows import StepAction, StepRow
from starter.standing import Pending, Run, Standing, pending_call
from starter.subjects import Subject
from worker.converter import DATA_CONVERTER
from workflows.messages import Progress
from workflows.names import AssetResult

_NOW = datetime(2026, 1, 30, 12, tzinfo=UTC)


async def the_call(*heartbeat: object) -> Pending:
    """A step under way, as the server describes it."""
    info = PendingActivityInfo(
        activity_id="documents", state=PendingActivityState.PENDING_ACTIVITY_STATE_STARTED, attempt=1
    )
    info.heartbeat_details.payloads.extend(await DATA_CONVERTER.encode(heartbeat))
    client: Any = SimpleNamespace(data_converter=DATA_CONVERTER)
    return await pending_call(client, info)


async def test_a_step_tells_how_far_it_is() -> None:
    call = await the_call(Progress(step="documents", done=480, of=10_000))
    assert call.progress_for_people == "480 of 10,000"
    assert call.facts()["progress"] == {"step": "documents", "done": 480, "of": 10_000}


@pytest.mark.parametrize("heartbeat", [(), ("another release's",), ({"step": "x"},)])
async def test_a_step_that_tells_nothing_known_is_shown_without(heartbeat: tuple[object, ...]) -> None:
    call = await the_call(*heartbeat)
    assert (call.progress_for_people, call.facts()["progress"]) == (None, None)


async def test_status_shows_progress_and_counts_beside_the_step() -> None:
    standing = Standing(
        subject=Subject(who="u-1", case=None, workflow_id="retire-user-u-1"),
        rows=(StepRow(step="documents", action=StepAction.DO), StepRow(step="lock", action=StepAction.DO)),
        messages=(),
        run=Run(
            run_id="run-1",
            status="RUNNING",
            started_at=_NOW,
            closed_at=None,
            pending=(await the_call(Progress(step="documents", done=480, of=10_000)),),
        ),
        status=None,
        assets={"documents": {AssetResult.MOVED: 480, AssetResult.RETRYING: 50, None: 9_470}},
    )
    [documents, lock] = standing.facts()["steps"]
    assert documents["assets"] == {"moved": 480, "retrying": 50, "waiting": 9_470}
    assert (lock["assets"], lock["progress"]) == ({}, None)
    [heading] = [line for line in standing.lines() if line.startswith("step ")]
    assert heading.split()[:5] == ["step", "state", "since", "assets", "progress"]
    [line] = [line for line in standing.lines() if line.startswith("documents  begun")]
    assert "480 moved, 50 retrying, 9,470 waiting" in line and "480 of 10,000" in line
