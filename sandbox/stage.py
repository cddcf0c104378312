"""All that the demo runs on, on free loopback ports: Temporal, the sandbox, a worker, and the `retire` command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from sandbox.engine import ROOT, Engine
from sandbox.launch import Sandbox

#: The first is the one that a start without `--plan` takes.
_PLANS = ("sandbox", "sandbox_team")


class Stage(Engine):
    """Everything embedded, in one folder. `async with Stage(...)` starts and ends exactly its own processes."""

    def __init__(
        self, *, folder: Path, temporal: Path, patience: Mapping[str, str], cool_off: Mapping[str, Any]
    ) -> None:
        super().__init__(folder=folder, temporal=temporal)
        self.sandbox = Sandbox(folder=folder / "services")
        self._patience = patience
        self._cool_off = cool_off

    async def __aenter__(self) -> Self:
        """Start everything: at its end a worker polls, or is about to."""
        self._write_plans()
        await super().__aenter__()
        try:
            await self.begin_work()
        except BaseException:
            await self._stop()
            raise
        return self

    async def start_services(self) -> None:
        """Start the sandbox."""
        await self.sandbox.start()

    async def stop_services(self) -> None:
        """End it."""
        await self.sandbox.stop()

    @property
    def own_settings(self) -> Mapping[str, str]:
        """Where the sandbox is, and its credentials."""
        return {**self.sandbox.environment, "RETIREMENT_PLAN": _PLANS[0]}

    def _write_plans(self) -> None:
        """The sandbox's plans with a short cool-off and short patience: nobody watches a demo for two weeks."""
        folder = self.folder / "plans"
        folder.mkdir(parents=True, exist_ok=True)
        for name in _PLANS:
            plan = yaml.safe_load((ROOT / "plans" / f"{name}.yaml").read_text())
            plan["cool_off"] = dict(self._cool_off)
            for step, patience in self._patience.items():
                plan["steps"][step]["patience"] = patience
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
