"""`make bench-openedx`: learners of a stand-in LMS without cool-off, 4 and 13 steps, and bare workflows of the same shape."""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from benchmarks.bare_runs import bare_runs
from benchmarks.measuring import measure
from sandbox.launch import Sandbox
from sandbox.lms.client import StandInLms, a_learner
from sandbox.lms.launch import running_lms
from tests.openedx.pipelines import FOUR, THIRTEEN, THIRTEEN_SETTINGS, driver_document, thirteen_urls, write_plan
from tests.openedx.retiring import Campus
from tests.support.stage import Retirement, register_search_attributes, staged
from worker.converter import DATA_CONVERTER
from worker.main import tune_garbage_collection
from workflows.names import Outcome

_WARM_UP = 5
_SINGLE = 10
#: What a run asks for besides its steps: the check, and the point of no return.
_AROUND = 2


def main() -> int:
    """Run the benchmark and print its report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.openedx", description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="how many learners a pipeline (default 200)")
    parser.add_argument("--at-once", type=int, default=20, help="how many of them at once (default 20)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    tune_garbage_collection()
    report = asyncio.run(_run(count=options.n, at_once=options.at_once))
    print(json.dumps(report, indent=2) if options.json else _told(report))
    return 0


async def _run(*, count: int, at_once: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            await WorkflowEnvironment.start_local(
                dev_server_existing_path=os.environ["TEMPORAL_CLI"],
                dev_server_extra_args=["--log-level", "error"],
                data_converter=DATA_CONVERTER,
            ) as server,
            running_lms(folder=Path(folder) / "lms") as lms,
        ):
            await register_search_attributes(server.client)
            # Of the sandbox only its mailbox's address is wanted, and nobody is written to.
            sandbox = Sandbox(folder=Path(folder) / "sandbox")
            os.environ.update(sandbox.environment)
            settings = lms.settings()
            os.environ["OPENEDX_CLIENT_SECRET"] = settings.client_secret
            os.environ["OPENEDX_SEGMENT_AUTH_TOKEN"] = settings.segment_token
            lms.set(records=False)
            async with staged(client=server.client, sandbox=sandbox, folder=Path(folder)) as stage:
                campus = Campus(stage=stage, lms=lms)
                return {
                    "learners": count,
                    "at_once": at_once,
                    "pipelines": {
                        str(len(steps)): await _pipeline(campus, name, steps=len(steps), count=count, at_once=at_once)
                        for name, steps in (("four", FOUR), ("thirteen", THIRTEEN))
                    },
                }


async def _pipeline(campus: Campus, name: str, *, steps: int, count: int, at_once: int) -> dict[str, Any]:
    plan = _plan(campus, name)
    rows = _learners(campus.lms, f"{name}-", count + _WARM_UP + _SINGLE)

    async def retire(row: dict[str, Any]) -> Retirement:
        run = await campus.start(row, plan=plan, cool_off="0s")
        result = await run.result()
        if result.outcome is not Outcome.COMPLETE:
            raise RuntimeError(
                f"a retirement ended {result.outcome}: the stand-in or the machine is not fit to measure"
            )
        return run

    await measure(retire, rows[:_WARM_UP], at_once=_WARM_UP)
    single = await measure(retire, rows[_WARM_UP : _WARM_UP + _SINGLE], at_once=1)
    print(f"{count} learners, {steps} steps, {at_once} at once …", file=sys.stderr)
    before, asked_before = campus.stage.ledger.transactions, _calls(campus.lms)
    measured = await measure(retire, rows[_WARM_UP + _SINGLE :], at_once=at_once)
    after, asked_after = campus.stage.ledger.transactions, _calls(campus.lms)
    shape = [1] * (steps + _AROUND)
    print(f"{count} bare workflows: {len(shape)} no-ops one after another …", file=sys.stderr)
    bare = await bare_runs(campus.stage.client, stages=shape, count=count, at_once=at_once)
    return {
        "per_second": measured.per_second,
        "p50": measured.percentile(50),
        "single_p50": single.percentile(50),
        "costs": {
            **await _costs(measured.results[-10:]),
            "http_calls": (asked_after - asked_before) / count,
            "ledger_reads": (after.reads - before.reads) / count,
            "ledger_writes": (after.writes - before.writes) / count,
        },
        "bare": {"per_second": bare.per_second, "ratio": measured.per_second / bare.per_second},
    }


def _plan(campus: Campus, name: str) -> str:
    url, folder = campus.lms.url, campus.stage.settings.plans_dir
    if name == "four":
        return write_plan(folder, name, document=driver_document(url, FOUR), change=_without_follow_ups)
    document = driver_document(url, THIRTEEN, **THIRTEEN_SETTINGS, fetch_ecommerce_segment_id=True)
    return write_plan(folder, name, document={**document, "base_urls": thirteen_urls(url)}, change=_without_follow_ups)


def _without_follow_ups(plan: dict[str, Any]) -> None:
    """What is asked for weeks after the end is not measured."""
    for step in plan["steps"].values():
        step.pop("follow_up", None)


def _learners(lms: StandInLms, prefix: str, count: int) -> list[dict[str, Any]]:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    learners = [
        a_learner(f"{prefix}{number}", created=created, state="PENDING", tracking_id=f"t-{prefix}{number}")
        for number in range(count)
    ]
    return [dict(added["row"]) for added in lms.add_learners(learners)]


def _calls(lms: StandInLms) -> int:
    counts = lms.counts()
    return sum(counts.values()) - counts.get("token", 0)


async def _costs(runs: Iterable[Retirement]) -> dict[str, float]:
    histories = [(await run.handle.fetch_history()).events for run in runs]

    def events_of(field: str) -> float:
        return statistics.mean(sum(event.HasField(field) for event in history) for history in histories)  # type: ignore[arg-type]

    return {
        "events": statistics.mean(len(history) for history in histories),
        "activities": events_of("activity_task_scheduled_event_attributes"),
        "workflow_tasks": events_of("workflow_task_completed_event_attributes"),
    }


def _told(report: dict[str, Any]) -> str:
    lines = []
    for steps, figures in report["pipelines"].items():
        costs = ", ".join(f"{cost:.1f} {name}" for name, cost in figures["costs"].items())
        lines += [
            f"{steps} steps: {figures['per_second']:.1f} learners/s  p50 {figures['p50']:.2f} s"
            f"  one at a time p50 {figures['single_p50']:.2f} s",
            f"  bare of the same shape {figures['bare']['per_second']:.1f}/s  ratio {figures['bare']['ratio']:.2f}",
            f"  per learner: {costs}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
