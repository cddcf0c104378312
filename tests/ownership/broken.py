"""Engines with a mistake in them, each a single one: whoever judges the graphs must find each."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import ledger.successions
from activities.ownership import succession, transferring
from activities.ownership.inventory import Taken
from activities.ownership.moving import Moved, Moving
from activities.ownership.succession import Succession
from activities.ownership.transferring import Transfer
from ledger.ledger import Ledger
from ledger.rows import AssetRow


def nobody_is_awaited(patch: pytest.MonkeyPatch) -> None:
    """Whoever is about to be given something goes all the same."""
    patch.setattr(ledger.successions, "is_awaited", lambda *_, **__: False)


def nobody_is_lost(patch: pytest.MonkeyPatch) -> None:
    """At the point of no return nobody looks whether the successor is going, too."""
    patch.setattr(ledger.successions, "is_one_lost", lambda *_, **__: False)


def one_look_is_enough(patch: pytest.MonkeyPatch) -> None:
    """What was listed before the point is all there is."""

    async def known(self: Transfer) -> Taken:
        counts = await self._counts()
        return Taken(number=1, listed=sum(counts.values()))

    patch.setattr(Transfer, "_inventory", known)


def nobody_asks_at_the_write(patch: pytest.MonkeyPatch) -> None:
    """Whoever was suitable weeks ago is suitable."""
    confirmed = Succession.confirmed

    async def believed(self: Succession) -> dict[str, dict[str, Any]]:
        chosen = self.begun.successor_of(self.step.successor)
        return await confirmed(self) if chosen is None else {"successor": chosen}

    patch.setattr(succession.Succession, "confirmed", believed)


def nothing_is_said_to_have_begun(patch: pytest.MonkeyPatch) -> None:
    """What a crash interrupts leaves no trace."""

    async def move(self: Transfer, moving: Moving, rows: Sequence[AssetRow]) -> list[Moved]:
        self._touched = True
        moved = await asyncio.gather(*(moving.move(row) for row in rows))
        results = {row.key: (each.result, each.code) for row, each in zip(rows, moved, strict=True)}
        await self._record(results)
        return list(moved)

    patch.setattr(transferring.Transfer, "_move", move)


def nothing_is_listed(patch: pytest.MonkeyPatch) -> None:
    """The list is made anew when it is needed, and until then it is empty."""

    async def forget(*_: object, **__: object) -> None:
        pass

    patch.setattr(Ledger, "note_assets", forget)
