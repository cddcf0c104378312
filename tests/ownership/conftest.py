"""Where graphs are played."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import activities.actions.http
import ledger.records
from plans.loading import Plans
from sandbox.launch import Sandbox
from tests.ownership.connections import Connections
from tests.ownership.interleaving import SteppedDatabase, SteppedWire
from tests.ownership.playing import Grounds, lean
from tests.support.ledgers import a_ledger
from tests.support.plans import TEAM_PLAN, a_plan


@pytest.fixture(scope="module")
async def grounds(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grounds]:
    """The real accounts and documents, a ledger, and activities that go one step at a time."""
    folder: Path = tmp_path_factory.mktemp("graphs")
    plan = a_plan(folder / "plans", "lean", lean, like=TEAM_PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.records, "Database", SteppedDatabase)
        patch.setattr(activities.actions.http, "Wire", SteppedWire)
        async with a_ledger("sqlite", folder=folder) as opened:
            connections = Connections()
            yield Grounds(sandbox=sandbox, ledger=opened, plans=Plans(folder / "plans", plan), connections=connections)
            await connections.close()
