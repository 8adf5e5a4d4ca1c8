"""A service: a Faust app, the agents and tables in it, and the process that runs it."""

import gc
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import faust
from aiokafka import TopicPartition

from agents.aggregate import Aggregate, never
from agents.runtime import metrics
from agents.runtime.in_flight import log_slow
from agents.runtime.processor import AggregateAgent, ChangeListener
from agents.runtime.rows import Index
from agents.runtime.sweeper import SWEEP_SECONDS, Clock, Sweeper
from agents.worker.app import App, create_app
from agents.worker.delivery import RawRecordsSchema
from agents.worker.settings import WorkerSettings
from topics.topic import Topic

METRICS_SECONDS = 5.0
SLOW_CHECK_SECONDS = 1.0
FLUSH_SECONDS = 900.0
"""Rows of an idle worker stay much younger than `MAX_AGE`. A busy one's are flushed when
they fill RocksDB's memory, so a crash costs a few thousand records anyway."""

GC_THRESHOLD = 20_000
"""New objects between two garbage collections; the default of 700 is one for each batch."""


class Service:
    """A service under construction; its name is that of its consumer group.

    Args:
        fetch_interval: least seconds between two fetches, for work that can wait.

    Attributes:
        sweepers: of the tables, by name.
    """

    def __init__(
        self, name: str, settings: WorkerSettings, fetch_interval: float = 0.0
    ) -> None:
        self.settings = settings
        self.app: App = create_app(name, settings)
        self.app.fetch_interval = fetch_interval
        self.sweepers: dict[str, Sweeper] = {}
        # Also while a rebalance waits for a batch: no add_timer.
        self.app.timer(SLOW_CHECK_SECONDS, name="slow-batches")(self._log_slow_batches)
        self.add_timer(FLUSH_SECONDS, self.app.tables.flush_rows)
        self.add_timer(SWEEP_SECONDS, self._sweep)
        if settings.metrics_port:
            self.add_timer(METRICS_SECONDS, self._update_gauges)

    def add_aggregate(
        self,
        aggregate: Aggregate[Any, Any, Any],
        on_change: ChangeListener | None = None,
    ) -> AggregateAgent:
        """Add an aggregate: a table, and the agent of its request topic.

        Call `on_change` with the rows that each transaction changed.
        """
        clock = partial(self._committed_at, aggregate.requests)
        expires = aggregate.expires is not never
        table = self.add_table(
            aggregate.changelog, aggregate.index, clock if expires else None
        )
        agent = AggregateAgent(self.app, aggregate, table, on_change)
        self.app.add_recovery_listener(agent.on_recovered)
        self.add_agent(aggregate.requests, agent.run)
        return agent

    def add_agent(self, topic: Topic, run: Callable[[Any], Any]) -> None:
        """Add a Faust agent for the records of a topic."""
        metrics.DEAD_LETTERS.labels(topic.name)  # from zero: Prometheus misses no first one
        schema = RawRecordsSchema(key_type=bytes, value_type=bytes)
        source = self.app.topic(topic.name, schema=schema)
        self.app.agent(source, name=topic.name)(run)

    def add_table(
        self,
        changelog: Topic,
        index: Index = lambda _: None,
        clock: Clock | None = None,
    ) -> Any:
        """Add the Faust table of a changelog; with a clock, its index is by expiry."""
        name = changelog.name.removeprefix(f"{self.app.conf.id}-")
        table = self.app.Table(
            name.removesuffix("-changelog"),
            key_type=bytes,
            value_type=bytes,
            options={"index": index},
        )
        sweeper = self.sweepers[table.name] = Sweeper(self.app, changelog, table, clock)
        self.app.add_recovery_listener(sweeper.start)
        self.app.add_revocation_listener(sweeper.stop)
        return table

    def add_timer(self, seconds: float, run: Callable[[], Awaitable[None]]) -> None:
        """Call a function periodically, once the tables are recovered."""

        async def tick() -> None:
            if self.app.tables.actives_ready and not self.app.rebalancing:
                await run()

        self.app.timer(seconds, name=getattr(run, "__name__", None))(tick)

    async def _log_slow_batches(self) -> None:
        log_slow(self.app.consumer.oldest(), self.app.consumer.waiting)

    async def _sweep(self) -> None:
        for sweeper in self.sweepers.values():
            sweeper.step()

    def _committed_at(self, topic: Topic, partition: int) -> datetime | None:
        at: datetime | None
        at = self.app.consumer.committed_at(TopicPartition(topic.name, partition))
        return at

    async def _update_gauges(self) -> None:
        consumer = self.app.consumer
        metrics.update_standby_gauges(self.app.tables.recovery.standby_lags)
        metrics.update_gauges(
            consumer.lags(),
            {batch.tp: batch.seconds for batch in consumer.oldest()},
            consumer.waiting,
            {
                name: table.data.rows.database.size
                for name, table in self.app.tables.items()
            },
        )

    def run(self) -> None:
        """Run until SIGTERM; exit 0 when all work in flight is acknowledged."""
        logging.getLogger("faust").setLevel(logging.WARNING)
        gc.freeze()  # objects that live as long as the process need no collection
        gc.set_threshold(GC_THRESHOLD)
        worker = _Worker(self.app, loglevel="INFO", override_logging=False)
        worker.spinner = None  # its characters are no log lines
        worker.execute_from_commandline()


class _Worker(faust.Worker):
    """A Faust worker that stops without mode's pause of a second."""

    async def _sentinel_task(self) -> None:
        """Wait for nothing."""
