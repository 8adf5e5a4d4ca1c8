"""Batches in flight: their bound, their age, and when they can be committed."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.fail_stop import BackgroundTasks

MAX_IN_FLIGHT = 64
"""Polls of an aggregate, or batches of a concurrent processor; then reading pauses."""

MAX_RECORDS = 2_000
"""Records of these polls. The replies to so many may wait while more are processed."""

SLOW_SECONDS = 10.0
REPEAT_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class PartitionRecords:
    """Records of one partition, in log order.

    Attributes:
        acknowledged: whether all records that they caused are acknowledged.
        revoked: whether another worker gets the partition: they need not be processed.
        done: whether their agent has done with them.
        began: when they were read, by `time.monotonic`.
        logged_from: the age in seconds from which they are logged as slow.
    """

    tp: TopicPartition
    records: list[ConsumerRecord] = field(repr=False)
    acknowledged: bool = False
    revoked: bool = False
    done: bool = False
    began: float = field(default_factory=monotonic)
    logged_from: float = SLOW_SECONDS

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return int(self.records[-1].offset) + 1

    @property
    def seconds(self) -> float:
        """Their age."""
        return monotonic() - self.began


ConsumerRecords = list[PartitionRecords]
"""The records that one poll brought of a topic, by partition."""


def unrevoked(batches: ConsumerRecords) -> ConsumerRecords:
    """Return the batches of partitions that this worker has not given up meanwhile."""
    return [batch for batch in batches if not batch.revoked]


def oldest(batches: Iterable[Iterable[PartitionRecords]]) -> ConsumerRecords:
    """Return the first unacknowledged batch of each partition that has one."""
    firsts = (next((b for b in read if not b.acknowledged), None) for read in batches)
    return [batch for batch in firsts if batch is not None]


def log_slow(batches: ConsumerRecords, waiting: TopicPartition | None) -> None:
    """Log batches that stay in flight: after 10 seconds, then once a minute.

    The partition `waiting` waits for its agent's capacity.
    """
    for batch in batches:
        if (seconds := batch.seconds) >= batch.logged_from:
            batch.logged_from = seconds + REPEAT_SECONDS
            log.warning(
                "event=batch-slow topic=%s partition=%d offset=%d seconds=%.0f waiting=%s",
                batch.tp.topic,
                batch.tp.partition,
                batch.records[0].offset,
                seconds,
                f"{waiting.topic}-{waiting.partition}" if waiting else "none",
            )


class InFlightBatches:
    """Marks each batch as acknowledged when all that it caused is."""

    def __init__(self) -> None:
        self._polls = self._records = 0
        self._completed = asyncio.Event()
        self._completing = BackgroundTasks()

    async def acquire(self, batches: ConsumerRecords) -> int:
        """Wait until these batches may be processed; return their number of records."""
        records = sum(len(batch.records) for batch in batches)
        while self._polls and (
            self._polls >= MAX_IN_FLIGHT or self._records + records > MAX_RECORDS
        ):
            self._completed.clear()
            await self._completed.wait()
        self._polls += 1
        self._records += records
        return records

    def complete(
        self,
        event: Any,
        batches: ConsumerRecords,
        acks: Coroutine[Any, Any, None],
        records: int,
    ) -> None:
        """Await the acknowledgements of batches, and then let them be committed.

        The number of records is that of `acquire`; it includes those of revoked batches.
        """

        async def complete() -> None:
            try:
                await acks
                for batch in batches:
                    batch.acknowledged = True
            finally:
                for batch in batches:  # Faust acks when all batches of the poll are done
                    batch.done = True
                event.ack()  # Faust's own; nothing is committed without `acknowledged`
                self._polls -= 1
                self._records -= records
                self._completed.set()

        self._completing.start(complete())
