"""The `retire` command: in a process of its own, as people run it, or in this one, where a test runs many."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from starter.main import app
from tests.support.stage import LONGEST_WAIT, Stage

_ROOT = Path(__file__).parents[2]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> dict[str, Any]:
        """The result of --json."""
        facts: dict[str, Any] = json.loads(self.stdout)
        return facts


Retire = Callable[..., Awaitable[Ended]]


def a_shell(settings: Mapping[str, str]) -> Retire:
    """Runs `retire` as people do: a process of its own, with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RETIREMENT_")}

    async def retire(*arguments: str, interrupt_at: str | None = None) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "starter.main"),
            *arguments,
            cwd=_ROOT,
            env={**environment, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Build servers start things in the background, where interrupts are ignored, and that is inherited.
            preexec_fn=_heed_interrupts,
        )
        async with asyncio.timeout(LONGEST_WAIT):
            if interrupt_at is not None:
                assert process.stderr is not None
                while interrupt_at not in (await process.stderr.readline()).decode():
                    continue
                process.send_signal(signal.SIGINT)
            stdout, stderr = await process.communicate()
        assert b"Traceback" not in stderr, stderr.decode()
        assert process.returncode is not None
        return Ended(code=process.returncode, stdout=stdout.decode(), stderr=stderr.decode())

    return retire


def settings_in(folder: Path, *, address: str, namespace: str) -> dict[str, str]:
    """The settings of a folder with ledger, keys and plans."""
    return {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": namespace,
        "RETIREMENT_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
        "RETIREMENT_KEYS_FILE": str(folder / "keys.json"),
        "RETIREMENT_PLANS_DIR": str(folder / "plans"),
        "RETIREMENT_PLAN": "sandbox",
    }


def a_door(stage: Stage, *, plan: str, patch: pytest.MonkeyPatch) -> Retire:
    """Runs `retire` in a thread, with the settings of the stage's worker and this plan as the default."""
    address, namespace = stage.client.service_client.config.target_host, stage.client.namespace
    folder = stage.settings.keys_file.parent
    settings = {**settings_in(folder, address=address, namespace=namespace), "RETIREMENT_PLAN": plan}
    for name, value in settings.items():
        patch.setenv(name, value)

    async def retire(*arguments: str) -> Ended:
        async with asyncio.timeout(LONGEST_WAIT):
            result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), prog_name="retire")
        return Ended(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    return retire
