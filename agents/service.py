"""A service: a Faust app, the agents and tables in it, and the process that runs it."""

import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import faust

from agents.aggregate import Aggregate
from agents.runtime.agent import AggregateAgent, Watcher
from agents.worker import metrics
from agents.worker.app import App, build
from agents.worker.batches import CatchSchema
from agents.worker.settings import WorkerSettings
from topics.topic import Topic

METRICS_SECONDS = 5.0

YOUNG_OBJECTS = 20_000
"""Python looks for garbage in cycles after so many new objects; 700 is once a batch."""


class Service:
    """A service under construction.

    Args:
        name: of the service and of its consumer group.
        settings: of this worker.
    """

    def __init__(self, name: str, settings: WorkerSettings) -> None:
        self.settings = settings
        self.app: App = build(name, settings)
        if settings.metrics_port:
            self.every(METRICS_SECONDS, self._tell_holdings)

    def serve(
        self,
        aggregate: Aggregate[Any, Any, Any],
        watch: Watcher | None = None,
        recovered: Callable[[], Awaitable[None]] | None = None,
    ) -> AggregateAgent:
        """Add an aggregate: a table, and the agent that serves its requests.

        Args:
            aggregate: whose rules decide.
            watch: is told the rows that records touched, with their partition.
            recovered: is told that the table has been recovered.
        """
        table = self.table(aggregate.changelog)
        agent = AggregateAgent(self.app, aggregate, table, watch)

        async def on_recover() -> None:
            await agent.open()
            if recovered is not None:
                await recovered()

        table.on_recover(on_recover)
        self.agent(aggregate.requests, agent.run)
        return agent

    def agent(self, topic: Topic, run: Callable[[Any], Any]) -> None:
        """Add a Faust agent that takes what is fetched of a topic."""
        schema = CatchSchema(key_type=bytes, value_type=bytes)
        source = self.app.topic(topic.name, schema=schema)
        self.app.agent(source, name=topic.name)(run)

    def table(self, changelog: Topic) -> Any:
        """Add the Faust table that is recovered from a changelog."""
        name = changelog.name.removeprefix(f"{self.app.conf.id}-")
        return self.app.Table(
            name.removesuffix("-changelog"), key_type=bytes, value_type=bytes
        )

    def every(self, seconds: float, do: Callable[[], Any]) -> None:
        """Do something again and again, once the tables are complete."""

        async def tick() -> None:
            if self.app.tables.actives_ready and not self.app.rebalancing:
                await do()

        self.app.timer(seconds, name=getattr(do, "__name__", None))(tick)

    async def _tell_holdings(self) -> None:
        sizes = {name: table.data.rows.size for name, table in self.app.tables.items()}
        metrics.HOLDINGS.tell(self.app.consumer.lags(), sizes)

    def run(self) -> None:
        """Run until SIGTERM; exit 0 when all that was begun is acknowledged."""
        logging.getLogger("faust").setLevel(logging.WARNING)
        gc.freeze()  # what is there by now stays: no collection need look at it again
        gc.set_threshold(YOUNG_OBJECTS)
        worker = _Worker(self.app, loglevel="INFO", override_logging=False)
        worker.spinner = None  # its characters are no log lines
        worker.execute_from_commandline()


class _Worker(faust.Worker):
    """Ends when all is done, without the second that mode waits before it closes."""

    async def _sentinel_task(self) -> None:
        """Wait for nothing."""
