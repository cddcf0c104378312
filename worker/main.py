"""The worker process: wait until everything checks out, poll, and drain on SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from importlib.metadata import version

from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.actions.dispatch import Actions
from ledger.errors import KeysError
from ledger.keys import Keys
from ledger.ledger import Ledger
from plans.loading import Plans
from worker import readiness
from worker.connection import ConnectionFailed, connect
from worker.health import Health, serving
from worker.housekeeping import keep_house
from worker.logs import log_uncaught_exceptions, set_up_logs
from worker.readiness import NotReady
from worker.runtime import build_workers, telemetry
from worker.settings import Settings, SettingsError, load_settings

logger = logging.getLogger("retirement.worker")

_LOOK_AGAIN = 2.0


def main() -> int:
    """Run a worker until it is told to stop. Returns the exit code: 0 after a drain, 2 for settings that can't be used."""
    try:
        settings = load_settings()
        keys = Keys.load(settings.keys_file)
    except (SettingsError, KeysError) as error:
        print(error, file=sys.stderr)
        return 2
    set_up_logs(level=settings.log_level)
    log_uncaught_exceptions()
    asyncio.run(run(settings=settings, keys=keys))
    return 0


def tune_garbage_collection() -> None:
    """Collect less often, and never what was there at the start: half of a busy worker's time went into looking at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def run(*, settings: Settings, keys: Keys) -> None:
    """Serve health at once, poll when ready, and return once drained."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    health = Health()
    plans = Plans(settings.plans_dir, settings.plan)
    runtime = telemetry(settings)
    ledger = Ledger(url=settings.database_url, keys=keys)
    actions = Actions(version=version("account-retirement"))
    try:
        async with serving(health, address=settings.health_address):
            client = await _ready(
                settings=settings, ledger=ledger, plans=plans, runtime=runtime, health=health, stop=stop
            )
            if client is None:
                return
            workers = build_workers(client=client, settings=settings, ledger=ledger, plans=plans, actions=actions)
            house = asyncio.create_task(keep_house(ledger, client=client))
            async with contextlib.AsyncExitStack() as at_work:
                for worker in workers:
                    await at_work.enter_async_context(worker)
                health.problem = None
                logger.info("polling")
                await stop.wait()
                health.problem = "stopping: work in hand is finished, none is taken"
                logger.info("draining")
            house.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await house
            await ledger.checkpoint()
    finally:
        await actions.close()
        ledger.close()
    logger.info("stopped")


async def _ready(
    *, settings: Settings, ledger: Ledger, plans: Plans, runtime: Runtime, health: Health, stop: asyncio.Event
) -> Client | None:
    """Check until all is there, saying what is missing; None where the worker was stopped meanwhile."""
    while not stop.is_set():
        try:
            unusable = readiness.check_plans(plans, default=settings.plan, queues=settings.queues)
            await readiness.check_ledger(ledger)
            client = await connect(runtime=runtime)
            await readiness.check_temporal(client)
        except (NotReady, ConnectionFailed) as missing:
            if health.problem != str(missing):
                logger.warning("not ready, not polling", extra={"problem": str(missing)})
            health.problem = str(missing)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_AGAIN)
        else:
            for problem in unusable:
                logger.warning("a plan can't be used on this worker", extra={"problem": problem})
            return client
    return None
