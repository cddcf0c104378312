"""`retire plan check --live` against a real server with a real worker: queues that nobody polls are told."""

from pathlib import Path

from plans.loading import load_plan
from starter.queues import queues_of, unpolled
from tests.support.commands import a_shell, settings_in
from tests.support.plans import PlanDocument, a_plan
from tests.support.stage import Stage
from tests.support.waiting import eventually
from workflows import names


def _own_queue(document: PlanDocument) -> None:
    document["services"]["forum"]["queue"] = "inside"


async def test_queues_that_nobody_polls_are_named(stage: Stage) -> None:
    async def only_one_is_lonely() -> None:
        asked = [names.CALLS_QUEUE, "retirement-calls-nobody", names.QUEUE]
        assert await unpolled(stage.client, asked) == ["retirement-calls-nobody"]

    await eventually(only_one_is_lonely)


def test_a_plan_needs_the_common_queues_and_those_of_its_services(tmp_path: Path) -> None:
    a_plan(tmp_path, "acme", _own_queue)
    assert queues_of(load_plan(tmp_path / "acme.yaml")) == {
        names.QUEUE: None,
        names.CALLS_QUEUE: None,
        f"{names.CALLS_QUEUE}-inside": "forum",
    }


async def test_a_check_asks_temporal_who_polls(stage: Stage, tmp_path: Path) -> None:
    address = stage.client.service_client.config.target_host
    retire = a_shell(settings_in(tmp_path, address=address, namespace=stage.client.namespace))

    async def the_common_queues_are_polled() -> None:
        assert await unpolled(stage.client, [names.QUEUE, names.CALLS_QUEUE]) == []

    await eventually(the_common_queues_are_polled)
    a_plan(tmp_path, "common")
    a_plan(tmp_path, "acme", _own_queue)
    common = await retire("plan", "check", str(tmp_path / "common.yaml"), "--no-secrets", "--live")
    assert (common.code, common.stdout) == (0, f"{tmp_path / 'common.yaml'}: fine\n")
    own = await retire("plan", "check", str(tmp_path / "acme.yaml"), "--no-secrets", "--live")
    assert own.code == 1
    assert own.stdout.splitlines() == [
        f"{tmp_path / 'acme.yaml'}: services.forum.queue: no worker polls the task queue retirement-calls-inside, "
        "so what is put there waits in silence; start one with it among RETIREMENT_QUEUES",
        f"1 error in {tmp_path / 'acme.yaml'}",
    ]
