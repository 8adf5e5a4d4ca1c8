"""Builds the shop on Kafka Streams with Maven, and measures it like ours.

It has one JVM with carts, orders, stock, notifications and the gateway, and topics of its
own. In its favour it lacks: cancellation and payment deadlines, listCart and
ProductService, records of any partitioner, stored refusals, metrics and traces. At least
once, a crash can count a receipt twice, or lose it; ours can't. So in its guarantees the
like of ours is exactly once.

Of its settings those that measured best were chosen: a linger of 3 ms, no record cache,
the serial collector. Its commit intervals are Kafka Streams' own: 30 s, and 100 ms exactly
once.
"""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from agents.ops.local.processes import Process
from tests.benchmarks import commands, results, stories
from tests.benchmarks.bench import CLIENTS, STORIES
from tests.benchmarks.http import connected
from tests.benchmarks.measurements import Measurements, start
from tests.e2e.processes import Unit
from topics.admin import create
from topics.broker.java import CannotRunError, run_tool, system_java
from topics.catalog import (
    CART_REQUESTS,
    DEAD_LETTERS,
    GATEWAY_REPLIES,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    STOCK_REQUESTS,
)

WARM_UP_SECONDS = 45.0
"""A JVM that has just started has half of its speed."""

READY = "state=RUNNING"
GUARANTEES = {
    "at_least_once": "Kafka Streams at least once",
    "exactly_once_v2": "Kafka Streams exactly once",
}
MEASURED = (
    results.HTTP_STOCKS,
    results.STORY_1,
    results.STORY_8,
    results.STORY,
    results.ORDER,
)

_PREFIX = "ks."
_POM = Path(__file__).with_name("pom.xml")
_BUILT = _POM.parents[3] / ".cache" / "streams"
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    # Else each response of the JDK's server waits for a delayed ACK: 40 ms.
    "-Dsun.net.httpserver.nodelay=true",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka=warn",
)


def build() -> tuple[str, ...]:
    """Compile it; return the command that runs it, without its arguments.

    Raises:
        CannotRunError: Java 17 or Maven is missing, or Maven fails.
    """
    java, maven = system_java(), shutil.which("mvn")
    if not java or not maven:
        raise CannotRunError("PEER=streams needs a JDK 17 and Maven")
    goals = ("compile", "dependency:copy-dependencies", f"-DoutputDirectory={_BUILT}/libs")
    run_tool("Maven can't build the peer", maven, "-q", "-B", "-f", str(_POM), *goals)
    return (java, *_JVM, "-cp", f"{_BUILT}/classes{os.pathsep}{_BUILT}/libs/*", "shop.Shop")


class Peer:
    """The shop on Kafka Streams.

    Args:
        command: from `build`.
        measurements: of this run.
        directory: of its rows and logs.
        port: of its gateway.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        measurements: Measurements,
        directory: Path,
        port: int,
    ) -> None:
        directory.mkdir()
        self._measurements = measurements
        self._port = port
        place = (measurements.cluster.kafka, str(port), str(directory / "state"))
        self._units = {
            guarantee: Unit(
                Process("streams", (*command, *place, guarantee)),
                directory / f"{guarantee}.log",
            )
            for guarantee in GUARANTEES
        }

    async def create_topics(self) -> None:
        """Create its topics, with the settings of ours."""
        same = (
            CART_REQUESTS,
            ORDER_REQUESTS,
            STOCK_REQUESTS,
            ORDER_EVENTS,
            GATEWAY_REPLIES,
        )
        topics = [replace(topic, name=f"{_PREFIX}{topic.name}") for topic in same]
        dead_letters = replace(DEAD_LETTERS[STOCK_REQUESTS], name=f"{_PREFIX}dlq")
        await create(self._measurements.cluster, [*topics, dead_letters])

    async def measure(self) -> None:
        """Run the measurements of a round, with each guarantee."""
        for guarantee, unit in self._units.items():
            try:
                await self._measure(unit, results.PEER + GUARANTEES[guarantee])
            finally:
                await unit.stop()

    async def _measure(self, unit: Unit, name: str) -> None:
        measure, port = self._measurements, self._port
        await measure.preloaded(
            results.RECEIVE + name,
            _PREFIX + STOCK_REQUESTS.name,
            commands.receive_stock,
            partial(start, unit, READY),
        )
        async with connected([port] * CLIENTS) as clients:
            await stories.stock_up(clients)
        await measure.warm_up(stories.full_story, port, CLIENTS, WARM_UP_SECONDS)
        pids = {unit.name: unit.pid}
        for what in MEASURED:
            story, number = STORIES[what]
            await measure.calls(what + name, story, port, number, pids)
