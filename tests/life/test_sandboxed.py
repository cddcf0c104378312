"""Temporal's sandbox refuses clocks, randomness and I/O in workflows. Production does without it; this keeps that honest."""

from pathlib import Path

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from sandbox.launch import Sandbox
from tests.support.stage import staged, time_skipping_server
from tests.support.transfers import a_wish, start_transfer
from workflows.names import Outcome, Phase, Reason

#: Libraries without a clock of their own; all of workflows/ is loaded inside.
_PASSED = SandboxRestrictions.default.with_passthrough_modules("pydantic", "pydantic_core", "annotated_types")


async def test_a_whole_life_a_way_back_and_a_transfer_run_inside_temporal_s_sandbox(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    runner = SandboxedWorkflowRunner(restrictions=_PASSED)
    async with time_skipping_server() as server:
        async with staged(
            client=server.client, server=server, sandbox=sandbox, folder=tmp_path, workflow_runner=runner
        ) as stage:
            ada, bob = sandbox.add_person(), sandbox.add_person()
            life = await stage.start(ada)
            back = await stage.start(bob, running_clock=True)
            await back.reaches(Phase.COOL_OFF)
            await back.ask("extend", by_duration="1d")
            assert (await back.ask("rescind")).accepted
            assert (await back.result()).reason is Reason.RESCINDED
            assert (await life.result()).outcome is Outcome.COMPLETE
            assert sandbox.accounts.can_log_in(bob)
            assert sandbox.accounts.kept(ada) is None
            owner, successor = sandbox.add_person(documents=1), sandbox.add_person(roles=("author",))
            wish = a_wish(stage, stage.team_plan("team"), owner=owner, successor=successor)
            assert (await (await start_transfer(stage, wish)).result()).outcome is Outcome.COMPLETE
