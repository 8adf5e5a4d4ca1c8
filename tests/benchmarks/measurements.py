"""Measurements of any process on the bench's broker, and their results."""

import itertools
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from tests.benchmarks import stories
from tests.benchmarks.customers import Customer, Timing, measure, measure_idle
from tests.benchmarks.helpers import logged
from tests.benchmarks.http import connected
from tests.benchmarks.load import Command, preload
from tests.benchmarks.meter import Meter
from tests.benchmarks.preloaded import Replies, rates
from tests.benchmarks.results import LOAD, Result, Results
from tests.e2e.processes import Unit
from topics.kafka.settings import KafkaSettings

IDLE_CALLS = 11
IDLE_SECONDS = 2.0

Pids = Mapping[str, int]


class Measurements:
    """Measures, and keeps the results.

    Args:
        cluster: the broker.
        kafka: the broker's process.
        replies: reads those of preloaded runs.
        seconds: of each measurement without an end of its own.
        records: of a preloaded run.
    """

    def __init__(
        self,
        cluster: KafkaSettings,
        kafka: Unit,
        replies: Replies,
        seconds: float,
        records: int,
    ) -> None:
        self.cluster = cluster
        self.results = Results()
        self._kafka = kafka
        self._replies = replies
        self._seconds = seconds
        self._records = records
        self._numbers = itertools.count()

    async def preloaded(
        self,
        what: str,
        topic: str,
        command: Command,
        start: Callable[[], Awaitable[Pids]],
        changelog: str | None = None,
    ) -> None:
        """Measure how fast a process consumes a topic's records.

        Args:
            what: the name of the result.
            topic: of the records.
            command: each record.
            start: starts the process, and returns when it begins to fetch.
            changelog: of the process, if each record writes two rows.
        """
        await preload(self.cluster.kafka, topic, command, self._records)
        await self._replies.skip_old()
        async with self._replies.watched(changelog) as lag:
            meter = self._meter(await start())
            seconds = await self._replies.receive(self._records)
        rate = self._records / seconds[-1]
        thirds = rates(self._records, seconds)
        timing = Timing(rate, 0.0, 0.0)
        self.results.add(what, Result(timing, seconds[-1], meter.read(), thirds, lag.most))

    async def calls(
        self, what: str, story: stories.Story, port: int, clients: int, pids: Pids
    ) -> None:
        """Measure HTTP clients that repeat a story."""
        async with connected([port] * clients) as open_clients:
            await self.requests(what, [partial(story, each) for each in open_clients], pids)

    async def requests(self, what: str, customers: Sequence[Customer], pids: Pids) -> None:
        """Measure customers."""
        meter = self._meter(pids)
        timing = await measure(customers, self._numbers, self._seconds, meter.start)
        self.results.add(what, Result(timing, self._seconds, meter.read()))

    async def first_calls(
        self, what: str, story: stories.Story, port: int, pids: Pids
    ) -> None:
        """Measure the calls of one client, each to an idle shop."""
        async with connected([port]) as [client]:
            meter = self._meter(pids)
            customer = partial(story, client)
            timing = await measure_idle(customer, self._numbers, IDLE_CALLS, IDLE_SECONDS)
        seconds = IDLE_CALLS / timing.per_second
        self.results.add(what, Result(timing, seconds, meter.read()))

    async def warm_up(
        self, story: stories.Story, port: int, clients: int, seconds: float
    ) -> None:
        """Repeat a story without a result."""
        async with connected([port] * clients) as open_clients:
            customers = [partial(story, each) for each in open_clients]
            await measure(customers, self._numbers, seconds)

    def _meter(self, pids: Pids) -> Meter:
        return Meter({**pids, "kafka": self._kafka.pid, LOAD: os.getpid()})


async def start(unit: Unit, ready: str) -> Pids:
    """Start a process; return when it has logged that it begins to fetch."""
    since = unit.log.stat().st_size
    unit.start()
    await logged(unit.log, ready, since)
    return {unit.name: unit.pid}
