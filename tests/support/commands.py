"""`retire` in this process, beside a stage's worker: for tests that run many commands and look at what they print."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from starter.main import app
from tests.support.stage import LONGEST_WAIT, Stage


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


def a_door(stage: Stage, *, plan: str, patch: pytest.MonkeyPatch) -> Retire:
    """Runs `retire` in a thread, with the settings of the stage's worker and this plan as the default."""
    config = stage.client.service_client.config
    settings = {
        "TEMPORAL_ADDRESS": config.target_host,
        "TEMPORAL_NAMESPACE": stage.client.namespace,
        "RETIREMENT_DATABASE_URL": stage.settings.database_url,
        "RETIREMENT_KEYS_FILE": str(stage.settings.keys_file),
        "RETIREMENT_PLANS_DIR": str(stage.settings.plans_dir),
        "RETIREMENT_PLAN": plan,
    }
    for name, value in settings.items():
        patch.setenv(name, value)

    async def retire(*arguments: str) -> Ended:
        async with asyncio.timeout(LONGEST_WAIT):
            result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), prog_name="retire")
        return Ended(code=result.exit_code, stdout=result.stdout, stderr=result.stderr)

    return retire
