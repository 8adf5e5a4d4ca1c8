"""Disturbs a shop again and again, and reports how long its keys have no answer."""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.recovery.clients import BalancedClient, TopicClient
from tests.benchmarks.recovery.disturbances import (
    DISTURBANCES,
    GROWN_UP_SECONDS,
    Disturbance,
    ProbedShop,
)
from tests.benchmarks.recovery.outage import OutageLog, owned
from tests.benchmarks.recovery.prober import Gaps, Key, Prober
from topics.kafka.request_reply import RequestReplyClient

CALM_SECONDS = 3.0
"""Before a disturbance: the floor of what is measured through it."""

SETTLED_SECONDS = 3.0
"""After all keys are answered again: as long as a late rebalance may take to begin."""

INTERFACES = ("HTTP", "Kafka")
FLOOR, OTHERS = "floor", "other keys"
COLUMNS = (FLOOR, *INTERFACES, OTHERS)


@dataclass(frozen=True)
class Run:
    """The result of one disturbance.

    Attributes:
        gaps: by column.
        phases: seconds of the longest gap, by the step of the successor that ended each.
        unanswered: queries without an answer, though later ones have one.
    """

    gaps: Mapping[str, Gaps]
    phases: Mapping[str, float] = field(default_factory=dict)
    unanswered: int = 0


class ProbedRuns:
    """Disturbances of one running shop."""

    def __init__(self, shop: ProbedShop, prober: Prober) -> None:
        self._shop = shop
        self._prober = prober

    async def run(self, disturbance: Disturbance) -> Run:
        """Disturb the shop once, while its keys are probed."""
        await self._shop.restore(disturbance.workers)
        await asyncio.sleep(GROWN_UP_SECONDS)
        await self._prober.all_answered()
        columns = self._by_column(disturbance.victim)
        calm = time.monotonic()
        await asyncio.sleep(CALM_SECONDS)
        successor = disturbance.successor
        log = OutageLog(self._shop[successor]) if successor else None
        began = time.monotonic()
        await disturbance.disturb(self._shop)
        unanswered, ended = await self._settled(calm)
        gaps = {FLOOR: self._prober.gaps(self._prober.keys, calm, began)}
        for column, keys in columns.items():
            gaps[column] = self._prober.gaps(keys, began, ended)
        phases = log.phases(gaps[INTERFACES[0]].worst) if log else {}
        return Run(gaps, phases, unanswered)

    async def _settled(self, began: float) -> tuple[int, float]:
        """Wait until all keys are served; return the unanswered queries, and the time."""
        await self._prober.all_answered()
        answered = time.monotonic()
        await asyncio.sleep(SETTLED_SECONDS)
        return self._prober.unanswered(began, answered), time.monotonic()

    def _by_column(self, victim: str) -> dict[str, list[Key]]:
        owner = (victim, owned(self._shop[victim])) if victim else None
        return by_column(self._prober.keys, self._shop.partitions, owner)


def by_column(
    keys: Iterable[Key], partitions: int, owner: tuple[str, Sequence[int]] | None
) -> dict[str, list[Key]]:
    """Group the keys of an owner by interface, and all other keys in one column.

    Args:
        keys: all keys.
        partitions: of each topic.
        owner: the name of a worker and the numbers of its partitions; None: each key
            counts as owned.
    """
    columns = defaultdict(list)
    for key in keys:
        is_owned = owner is None or (
            owner[0].startswith(key.service) and key.partition(partitions) in owner[1]
        )
        columns[key.interface if is_owned else OTHERS].append(key)
    return columns


@asynccontextmanager
async def probed(shop: ProbedShop, interval: float) -> AsyncIterator[ProbedRuns]:
    """Run a shop, and probe it all the time."""
    async with shop.opened(), RequestReplyClient(shop.cluster) as topics:
        gateways = BalancedClient(shop.gateways)
        clients = dict(zip(INTERFACES, (gateways, TopicClient(topics)), strict=True))
        prober = Prober(clients, shop.partitions, interval)
        try:
            async with prober.running():
                yield ProbedRuns(shop, prober)
        finally:
            await gateways.close()


async def report(
    shop: ProbedShop, kinds: Sequence[str], repetitions: int, interval: float
) -> None:
    """Print a line of the table for each kind, and each run to standard error."""
    async with probed(shop, interval) as runs:
        for kind in kinds:
            disturbance, done = DISTURBANCES[kind], []
            for number in range(repetitions):
                done.append(await runs.run(disturbance))
                print(f"{kind} {number + 1}: {_shown(done[-1])}", file=sys.stderr)
            print(table_row(disturbance.name, shop.orders, done), flush=True)


def _shown(run: Run) -> str:
    gaps = "  ".join(f"{name} {_cell([each])}" for name, each in run.gaps.items())
    phases = " ".join(f"{name}={seconds:.2f}" for name, seconds in run.phases.items())
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{gaps}  unanswered {run.unanswered}  {phases}  ({load})"


def table_head() -> Iterator[str]:
    """Yield the first two lines of the table, for RESULTS.md."""
    yield "| seconds without an answer | orders | " + " | ".join(COLUMNS) + " |"
    yield "|---|---|" + "---|" * len(COLUMNS)


def table_row(name: str, orders: int, runs: Sequence[Run]) -> str:
    """Return a line of the table: p50 and worst over keys, each the median of all runs."""
    cells = (_cell([run.gaps[c] for run in runs if c in run.gaps]) for c in COLUMNS)
    return f"| {name} | {orders:,} | {' | '.join(cells)} |"


def _cell(gaps: Sequence[Gaps]) -> str:
    if not gaps:
        return ""
    return f"{median(g.p50 for g in gaps):.2f} / {median(g.worst for g in gaps):.2f}"
