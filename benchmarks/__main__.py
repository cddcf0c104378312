"""`make bench`: N retirements without cool-off against the sandbox, and the bare workflow, on one server in one run."""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from benchmarks.bare_runs import bare_runs
from benchmarks.measuring import measure
from sandbox.client import Person
from sandbox.launch import Sandbox
from tests.support.plans import PlanDocument
from tests.support.stage import Retirement, Stage, register_search_attributes, staged
from worker.converter import DATA_CONVERTER
from worker.main import tune_garbage_collection
from workflows.names import Outcome

#: A no-op a plan step (two freeze, four erase) in four stages; and twelve, as many calls as the steps, probes and mails make.
SHAPES = {"a no-op a plan step": [2, 2, 1, 1], "twelve no-ops": [3, 3, 3, 3]}
_WARM_UP = 5


def main() -> int:
    """Run the benchmark and print its report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="how many retirements (default 200)")
    parser.add_argument("--at-once", type=int, default=20, help="how many of them at once (default 20)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    tune_garbage_collection()
    report = asyncio.run(_run(count=options.n, at_once=options.at_once))
    print(json.dumps(report, indent=2) if options.json else _told(report))
    return 0


async def _run(*, count: int, at_once: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=os.environ["TEMPORAL_CLI"],
            dev_server_extra_args=["--log-level", "error"],
            data_converter=DATA_CONVERTER,
        ) as server:
            await register_search_attributes(server.client)
            async with Sandbox(folder=Path(folder) / "sandbox", newsletter_working_time=0) as sandbox:
                os.environ.update(sandbox.environment)
                async with staged(client=server.client, sandbox=sandbox, folder=Path(folder)) as stage:
                    return await _compare(stage, count=count, at_once=at_once)


async def _compare(stage: Stage, *, count: int, at_once: int) -> dict[str, Any]:
    plan = stage.plan("bench", _without_waiting)
    people = [Person() for _ in range(count + _WARM_UP + 10)]
    stage.sandbox.add_people(people)

    async def retire(person: Person) -> Retirement:
        run = await stage.start(person, plan=plan, cool_off="0s")
        result = await run.result()
        if result.outcome is not Outcome.COMPLETE:
            raise RuntimeError(f"a retirement ended {result.outcome}: the sandbox or the machine is not fit to measure")
        return run

    await measure(retire, people[:_WARM_UP], at_once=_WARM_UP)
    single = await measure(retire, people[_WARM_UP : _WARM_UP + 10], at_once=1)
    print(f"{count} retirements, {at_once} at once …", file=sys.stderr)
    before = stage.ledger.transactions
    measured = await measure(retire, people[_WARM_UP + 10 :], at_once=at_once)
    after = stage.ledger.transactions
    costs = await _costs(stage, measured.results[-10:], people[-10:])
    report: dict[str, Any] = {
        "retirements": count,
        "at_once": at_once,
        "per_second": measured.per_second,
        "p50": measured.percentile(50),
        "p99": measured.percentile(99),
        "single_p50": single.percentile(50),
        "costs": {
            **costs,
            "ledger_reads": (after.reads - before.reads) / count,
            "ledger_writes": (after.writes - before.writes) / count,
        },
        "bare": {},
    }
    for name, stages in SHAPES.items():
        print(f"{count} bare workflows: {name} …", file=sys.stderr)
        yardstick = await bare_runs(stage.client, stages=stages, count=count, at_once=at_once)
        report["bare"][name] = {
            "per_second": yardstick.per_second,
            "p50": yardstick.percentile(50),
            "ratio": measured.per_second / yardstick.per_second,
        }
    return report


async def _costs(stage: Stage, runs: list[Retirement], people: list[Person]) -> dict[str, float]:
    histories = [(await run.handle.fetch_history()).events for run in runs]
    sandbox = stage.sandbox
    calls = [
        sum(len(sandbox.services[name].requests(person)) for name in ("accounts", "forum", "invoices", "newsletter"))
        for person in people
    ]

    def events_of(field: str) -> float:
        return statistics.mean(sum(event.HasField(field) for event in history) for history in histories)  # type: ignore[arg-type]

    return {
        "events": statistics.mean(len(history) for history in histories),
        "activities": events_of("activity_task_scheduled_event_attributes"),
        "local_activities": events_of("marker_recorded_event_attributes"),
        "workflow_tasks": events_of("workflow_task_completed_event_attributes"),
        "http_calls": statistics.mean(calls),
    }


def _without_waiting(document: PlanDocument) -> None:
    """The vendor is asked again at once: its pace is not what is measured."""
    document["steps"]["newsletter"]["poll"]["every"] = "50ms"


def _told(report: dict[str, Any]) -> str:
    lines = [
        f"retirements   {report['per_second']:.1f}/s  p50 {report['p50']:.2f} s  p99 {report['p99']:.2f} s",
        f"one at a time p50 {report['single_p50']:.2f} s",
    ]
    for name, yardstick in report["bare"].items():
        lines.append(f"bare          {yardstick['per_second']:.1f}/s  ratio {yardstick['ratio']:.2f}  ({name})")
    lines.append("per retirement: " + ", ".join(f"{cost:.1f} {name}" for name, cost in report["costs"].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
