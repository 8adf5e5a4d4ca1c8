"""Runs over a topic whose records were all written before.

A run counts from the line by which a process logs that it fetches from now on, to the last
reply at a client. Replies can lag by thousands of records behind the work: from the first
reply on, the rate would be too high.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks.load import PARTITIONS, REPLIES
from topics.kafka.headers import CORRELATION_ID

THIRDS = 3
SAMPLE_SECONDS = 0.05
ROWS_EACH = 2
"""The rows that a receiveStock writes: the stock level, and a receipt."""


@dataclass
class Lag:
    """How many records were carried out and not yet answered, at the worst moment."""

    most: int = 0


@dataclass
class Replies:
    """Reads the replies of preloaded runs."""

    consumer: AIOKafkaConsumer
    seen: set[bytes] = field(default_factory=set)

    @classmethod
    async def open(cls, bootstrap: str) -> "Replies":
        """Connect; of a transaction, replies count once it is committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            fetch_max_wait_ms=20,
            isolation_level="read_committed",
        )
        await consumer.start()
        return cls(consumer)

    async def skip_old(self) -> None:
        """Read from the current end on."""
        self.seen.clear()
        partitions = _partitions(REPLIES)
        self.consumer.assign(partitions)
        await self.consumer.seek_to_end(*partitions)

    async def receive(self, number: int) -> list[float]:
        """Return the seconds until one, two and all thirds of the replies were here."""
        began = perf_counter()
        seconds: list[float] = []
        while len(seconds) < THIRDS:
            for records in (await self.consumer.getmany(timeout_ms=1000)).values():
                self.seen |= {dict(each.headers)[CORRELATION_ID] for each in records}
            while len(seconds) < THIRDS and (
                len(self.seen) * THIRDS >= number * (len(seconds) + 1)
            ):
                seconds.append(perf_counter() - began)
        return seconds

    @asynccontextmanager
    async def watched(self, changelog: str | None) -> AsyncIterator[Lag]:
        """Measure within this context how far replies lag behind rows, in the logs.

        Args:
            changelog: of the process; None: it has no rows, and the lag is 0.
        """
        lag = Lag()
        if changelog is None:
            yield lag
            return
        watching = asyncio.create_task(
            self._watch(changelog, lag, await self._ends(changelog))
        )
        yield lag
        watching.cancel()

    async def _watch(self, changelog: str, lag: Lag, before: tuple[int, int]) -> None:
        while True:
            rows, replies = await self._ends(changelog)
            carried_out = (rows - before[0]) // ROWS_EACH
            lag.most = max(lag.most, carried_out - (replies - before[1]))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _ends(self, changelog: str) -> tuple[int, int]:
        """Return the records of the changelog and of the replies, of the same moment."""
        both = [*_partitions(changelog), *_partitions(REPLIES)]
        ends = await self.consumer.end_offsets(both)
        rows = sum(end for tp, end in ends.items() if tp.topic == changelog)
        return rows, sum(ends.values()) - rows


def rates(number: int, seconds: Sequence[float]) -> list[float]:
    """Return records a second in each third, from the seconds until its end."""
    begins = (0.0, *seconds)
    return [
        number / THIRDS / (end - begin) for begin, end in zip(begins, seconds, strict=False)
    ]


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
