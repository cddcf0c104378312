"""Plays graphs: each with a world, lives and an interleaving of its own, on services and a ledger that they share."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from activities.actions.dispatch import Actions
from activities.cases import CaseActivities
from activities.steps import StepActivities
from ledger.ledger import Ledger
from plans.loading import Plans
from sandbox.launch import Sandbox
from tests.ownership.connections import Connections
from tests.ownership.graphs import Graph, a_graph
from tests.ownership.interleaving import BEGINNING, Interleaving, Stuck
from tests.ownership.judging import Found, Judge, assets_of
from tests.ownership.lives import Life
from tests.ownership.worlds import World, settle
from tests.support.plans import PlanDocument

#: Most graphs are played in fewer turns.
_TURNS = 100
#: While one waits for a disk or a service, the processor is free for another.
_AT_ONCE = 6


def lean(document: PlanDocument) -> None:
    """Nothing but the hand-over and the end of the account: no rules, nothing frozen, one service each.

    Nobody is written to. But as long as the admins' mail is not sent, the vault can be read.
    """
    for unneeded in ("facts", "eligibility", "claims"):
        del document[unneeded]
    document["mail"] = {"from": "a@example.org", "operators": ["o@example.org"], "admins": ["admins@example.org"]}
    document["services"] = {name: document["services"][name] for name in ("accounts", "documents")}
    document["steps"] = {name: document["steps"][name] for name in ("documents", "profile")}
    profile = document["steps"]["profile"]
    del profile["after"], profile["probe"]
    profile["unprobed"] = "the accounts themselves say what they have erased"
    for asked in (document["subject"]["lookup"], document["successors"]["colleague"], *document["steps"].values()):
        asked["patience"] = "1s"


@dataclass(kw_only=True)
class Played:
    """A graph that was played."""

    world: World
    lives: list[Life]
    turns: Interleaving
    wrong: list[str] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.world.graph

    @property
    def ends(self) -> Counter[str]:
        """How its retirements ended."""
        return Counter(end.told() for life in self.lives for end in life.ends)

    def told(self) -> str:
        """What was wrong with it, for people to read."""
        ends = [f"  {life.user_id}: {end.told()}" for life in self.lives for end in life.ends]
        again = f"alone: GRAPH={self.graph.seed} make test T=tests/ownership/test_interleavings.py"
        return "\n".join([self.graph.told(), *ends, *(f"✗ {what}" for what in self.wrong), again])


@dataclass(kw_only=True)
class Grounds:
    """What graphs are played on."""

    sandbox: Sandbox
    ledger: Ledger
    plans: Plans
    connections: Connections = field(default_factory=Connections, repr=False)
    _number: int = 0

    async def play_all(self, seeds: Iterable[int]) -> list[Played]:
        """Play and judge the graphs of these seeds, each in the order that is drawn with it."""
        drawn = []
        for seed in seeds:
            chance = random.Random(seed)
            graph = a_graph(seed, chance=chance)
            setbacks, kills = _some(chance, (1, 2, 3, 4, 8, 40)), _some(chance, (0, 0, 1, 2, 3))
            turns = Interleaving(chance=chance, connections=self.connections, setbacks=setbacks, kills=kills)
            drawn.append((self._world_of(graph), turns))
        return await self._play_and_judge(drawn)

    async def tell(self, graph: Graph, *, ranks: Mapping[str, float]) -> Played:
        """Play and judge one graph, in which the first in rank goes on for as long as they can."""
        turns = Interleaving(chance=random.Random(graph.seed), connections=self.connections, ranks=ranks)
        [played] = await self._play_and_judge([(self._world_of(graph), turns)])
        return played

    async def _play_and_judge(self, drawn: Sequence[tuple[World, Interleaving]]) -> list[Played]:
        room = asyncio.Semaphore(_AT_ONCE)

        async def play(world: World, turns: Interleaving) -> Played:
            async with room:
                return await self._play(world, turns=turns)

        settle((world for world, _ in drawn), sandbox=self.sandbox)
        played = await asyncio.gather(*(play(world, turns) for world, turns in drawn))
        found = Found.at(self.sandbox)
        for each in played:
            if not each.wrong:
                assets = await assets_of(self.ledger, each.lives)
                exchanges = each.turns.exchanges
                judge = Judge(world=each.world, lives=each.lives, exchanges=exchanges, found=found, assets=assets)
                each.wrong = judge.judge()
        return played

    def _world_of(self, graph: Graph) -> World:
        self._number += 1
        return World(graph=graph, nonce=f"g{graph.seed}-{self._number}", sandbox=self.sandbox)

    async def _play(self, world: World, *, turns: Interleaving) -> Played:
        graph = world.graph
        world.trouble()
        action = Actions(version="0.test")
        cases = CaseActivities(ledger=self.ledger, plans=self.plans)
        steps = StepActivities(ledger=self.ledger, action=action)
        lives = {
            someone.name: Life(
                user_id=world.id_of(someone.name),
                requests=someone.requests,
                turns=turns,
                ledger=self.ledger,
                cases=cases,
                steps=steps,
                now=time.monotonic,
                id_of=world.id_of,
            )
            for someone in graph.going
        }

        async def beside() -> None:
            for event in sorted(graph.events, key=lambda event: event.day):
                await turns.until(BEGINNING + timedelta(days=event.day))
                life = lives.get(event.who)
                world.happen(event, may_own_more=life is None or life.may_own_more)

        played = Played(world=world, lives=list(lives.values()), turns=turns)
        try:
            await turns.play({**{name: life.live for name, life in lives.items()}, "beside": beside})
        except Stuck as stuck:
            played.wrong.append(str(stuck))
        finally:
            await action.close()
        return played


def _some(chance: random.Random, how_many: tuple[int, ...]) -> frozenset[int]:
    return frozenset(chance.randint(1, _TURNS) for _ in range(chance.choice(how_many)))
