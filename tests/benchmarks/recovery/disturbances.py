"""What a shop goes through while it is measured."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from agents.ops.local.processes import Process, Tier
from tests.benchmarks.recovery.outage import owned
from tests.benchmarks.recovery.rebuild import fill
from tests.e2e.processes import Unit
from tests.e2e.shop import Shop
from tests.e2e.waiting import until
from topics.catalog import TOPICS

# A process that ends earlier is restarted after a pause, by supervisord and by the tests.
GROWN_UP_SECONDS = 3.2

_MOST_WORKERS = 3
_SHARE_SECONDS = 240.0
_SYNC_SECONDS = 240.0
_TIME_TO_PAY = "1000000"  # no order runs out of time while it is measured


class ProbedShop(Shop):
    """A shop with one to three workers of LOMS and of checkout, and two gateways.

    Args:
        orders: rows in the table of orders from the start.
        brokers: see `Shop`.
        settings: more variables of the workers.
    """

    later = tuple(f"{s}-{n}" for s in ("loms", "checkout") for n in (2, 3))

    def __init__(
        self, directory: Path, orders: int, brokers: int, partitions: int, **settings: str
    ) -> None:
        self.orders = orders
        self._settings = {"PAYMENT_TIMEOUT_SECONDS": _TIME_TO_PAY} | settings
        super().__init__(
            directory,
            brokers,
            partitions=partitions,
            loms_workers=_MOST_WORKERS,
            checkout_workers=_MOST_WORKERS,
            session_timeout_seconds="",  # as short as in production
        )

    async def prepare(self) -> None:
        """Create the topics, and the rows of orders."""
        await super().prepare()
        await fill(self.cluster, self.orders)

    def adapted(self, process: Process) -> Process:
        """Return a process with the changes for tests; workers have more settings."""
        adapted = super().adapted(process)
        if "STATE_DIR" not in process.environment:
            return adapted
        return replace(adapted, environment=adapted.environment | self._settings)

    def workers(self, service: str) -> list[Unit]:
        """Return the running workers of a service."""
        return [u for u in self.units.values() if u.name.startswith(service) and u.runs]

    async def restore(self, workers: int) -> None:
        """Start absent brokers, and scale; wait until all copies are in sync."""
        for absent in (broker for broker in self.brokers if not broker.runs):
            absent.start()
        await self.broker_answers()
        await until(self._is_in_sync, "all copies are in sync", _SYNC_SECONDS)
        await self.scale(workers)

    async def scale(self, workers: int) -> None:
        """Start or stop workers at the same time, and wait until all have partitions."""
        running = {f"{s}-{n + 1}" for s in ("loms", "checkout") for n in range(workers)}
        surplus = [self[n] for n in self.later if n not in running and self[n].runs]
        for name in running:
            if not self[name].runs:
                self[name].start()
        await asyncio.gather(*(unit.stop() for unit in surplus))
        await until(lambda: self._is_shared(workers), f"{workers} share", _SHARE_SECONDS)
        await self.ready()

    def _is_shared(self, workers: int) -> bool:
        shares = [[owned(u) for u in self.workers(s)] for s in ("loms", "checkout")]
        every = list(range(self.partitions))
        return all(
            len(share) == workers and all(share) and sorted(chain(*share)) == every
            for share in shares
        )

    async def leading_broker(self) -> Unit:
        """Return the broker that leads most of the partitions."""
        leaders = Counter(each["leader"] for each in await self._partitions())
        return self[f"kafka-{leaders.most_common(1)[0][0]}"]

    async def _is_in_sync(self) -> bool:
        """Return whether each partition has all its copies."""
        copies = self.cluster.kafka_replication
        return all(len(each["isr"]) == copies for each in await self._partitions())

    async def _partitions(self) -> list[dict[str, Any]]:
        admin = AIOKafkaAdminClient(**self.cluster.client_options())
        await admin.start()
        try:
            topics = await admin.describe_topics([topic.name for topic in TOPICS])
        finally:
            await admin.close()
        return [each for topic in topics for each in topic["partitions"]]


@dataclass(frozen=True)
class Disturbance:
    """A disturbance of a shop.

    Attributes:
        name: in tables.
        disturb: disturbs the shop; `ProbedShop.restore` repairs it.
        victim: a worker whose keys are measured; empty: all keys are.
        successor: their next owner; empty: there is no victim.
        workers: their number, of LOMS and of checkout.
        brokers: their number; 0: the single broker of a local shop.
    """

    name: str
    disturb: Callable[[ProbedShop], Awaitable[None]]
    victim: str = ""
    successor: str = ""
    workers: int = 2
    brokers: int = 0


async def killed_and_back(shop: ProbedShop, victim: str = "loms-1") -> None:
    """kill -9 of a worker, which its supervisor restarts."""
    await shop[victim].crash()


async def killed_permanently(shop: ProbedShop) -> None:
    """kill -9 of a worker of LOMS that stays down; the other one takes over."""
    await shop["loms-1"].crash(permanently=True)


async def stopped_and_back(shop: ProbedShop) -> None:
    """SIGTERM of a worker of LOMS, and a start as soon as it has ended."""
    await shop["loms-1"].restart()


async def scaled(shop: ProbedShop) -> None:
    """One worker of LOMS and of checkout, three, and one again, as `make scale` does it."""
    await shop.scale(3)
    await asyncio.sleep(GROWN_UP_SECONDS)
    await shop.scale(1)


async def rolling_restart(shop: ProbedShop) -> None:
    """SIGTERM and a start of every worker and gateway, one after the other."""
    for unit in shop.units.values():
        is_ours = unit.process.tier != Tier.KAFKA and unit.name != "product-service"
        if is_ours and unit.runs:
            await unit.restart()
            began = unit.log.stat().st_size
            await until(partial(_is_up, unit, began), f"{unit.name} is up", _SHARE_SECONDS)
            await shop.ready()


def _is_up(unit: Unit, began: int) -> bool:
    """Return whether a process has been ready since its log had a size.

    The shop serves all keys meanwhile, so that of the shop would not do.
    """
    return b"event=ready" in unit.log.read_bytes()[began:] or unit.process.tier == (
        Tier.GATEWAY
    )


async def broker_killed(shop: ProbedShop) -> None:
    """kill -9 of the broker that leads most of the partitions."""
    leader = await shop.leading_broker()
    await leader.crash(permanently=True)


DISTURBANCES = {
    "back": Disturbance(
        "kill -9 of the owner (LOMS), back", killed_and_back, "loms-1", "loms-1"
    ),
    "checkout-back": Disturbance(
        "kill -9 of the owner (checkout), back",
        partial(killed_and_back, victim="checkout-1"),
        "checkout-1",
        "checkout-1",
    ),
    "taken-over": Disturbance(
        "kill -9 of the owner (LOMS), another takes over",
        killed_permanently,
        "loms-1",
        "loms-2",
    ),
    "stopped": Disturbance(
        "SIGTERM of the owner (LOMS), back", stopped_and_back, "loms-1", "loms-1"
    ),
    "scaled": Disturbance("scale 1 → 3 → 1", scaled, workers=1),
    "rolling": Disturbance("rolling restart of all", rolling_restart, workers=3),
    "broker": Disturbance(
        "kill -9 of the leader of three brokers", broker_killed, brokers=3
    ),
}
