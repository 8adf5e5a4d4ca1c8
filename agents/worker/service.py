"""A service: a Faust app, the agents and tables in it, and the process that runs it."""

import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import faust

from agents.aggregate import Aggregate
from agents.runtime import metrics
from agents.runtime.processor import AggregateAgent, ChangeListener
from agents.worker.app import App, create_app
from agents.worker.consumer import RawRecordsSchema
from agents.worker.settings import WorkerSettings
from topics.topic import Topic

METRICS_SECONDS = 5.0

GC_THRESHOLD = 20_000
"""Python looks for garbage in cycles after so many new objects; 700 is once a batch."""


class Service:
    """A service under construction.

    Args:
        name: of the service and of its consumer group.
        settings: of this worker.
    """

    def __init__(self, name: str, settings: WorkerSettings) -> None:
        self.settings = settings
        self.app: App = create_app(name, settings)
        if settings.metrics_port:
            self.add_timer(METRICS_SECONDS, self._update_gauges)

    def add_aggregate(
        self,
        aggregate: Aggregate[Any, Any, Any],
        on_change: ChangeListener | None = None,
        on_recovered: Callable[[], Awaitable[None]] | None = None,
    ) -> AggregateAgent:
        """Add an aggregate: a table, and the agent that serves its requests.

        Args:
            aggregate: whose rules decide.
            watch: is told the rows that records touched, with their partition.
            recovered: is told that the table has been recovered.
        """
        table = self.add_table(aggregate.changelog)
        agent = AggregateAgent(self.app, aggregate, table, on_change)

        async def on_recover() -> None:
            await agent.on_recovered()
            if on_recovered is not None:
                await on_recovered()

        table.on_recover(on_recover)
        self.add_agent(aggregate.requests, agent.run)
        return agent

    def add_agent(self, topic: Topic, run: Callable[[Any], Any]) -> None:
        """Add a Faust agent that takes what is fetched of a topic."""
        schema = RawRecordsSchema(key_type=bytes, value_type=bytes)
        source = self.app.topic(topic.name, schema=schema)
        self.app.agent(source, name=topic.name)(run)

    def add_table(self, changelog: Topic) -> Any:
        """Add the Faust table that is recovered from a changelog."""
        name = changelog.name.removeprefix(f"{self.app.conf.id}-")
        return self.app.Table(
            name.removesuffix("-changelog"), key_type=bytes, value_type=bytes
        )

    def add_timer(self, seconds: float, do: Callable[[], Any]) -> None:
        """Do something again and again, once the tables are complete."""

        async def tick() -> None:
            if self.app.tables.actives_ready and not self.app.rebalancing:
                await do()

        self.app.timer(seconds, name=getattr(do, "__name__", None))(tick)

    async def _update_gauges(self) -> None:
        sizes = {name: table.data.rows.size for name, table in self.app.tables.items()}
        metrics.WORKER_GAUGES.update(self.app.consumer.lags(), sizes)

    def run(self) -> None:
        """Run until SIGTERM; exit 0 when all that was begun is acknowledged."""
        logging.getLogger("faust").setLevel(logging.WARNING)
        gc.freeze()  # what is there by now stays: no collection need look at it again
        gc.set_threshold(GC_THRESHOLD)
        worker = _Worker(self.app, loglevel="INFO", override_logging=False)
        worker.spinner = None  # its characters are no log lines
        worker.execute_from_commandline()


class _Worker(faust.Worker):
    """Ends when all is done, without the second that mode waits before it closes."""

    async def _sentinel_task(self) -> None:
        """Wait for nothing."""
