"""Batches in flight: their bound, their age, and when they can be committed."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.fail_stop import BackgroundTasks

MAX_IN_FLIGHT = 64
"""Polls of an aggregate, or batches of a concurrent processor; then reading pauses."""

SLOW_SECONDS = 10.0
REPEAT_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class PartitionRecords:
    """Records of one partition, in log order.

    Attributes:
        acknowledged: whether all records that they caused are acknowledged.
        began: when they were read, by `time.monotonic`.
    """

    tp: TopicPartition
    records: list[ConsumerRecord] = field(repr=False)
    acknowledged: bool = False
    began: float = field(default_factory=monotonic)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return int(self.records[-1].offset) + 1


ConsumerRecords = list[PartitionRecords]
"""The records that one poll brought of a topic, by partition."""


class InFlight(NamedTuple):
    """The oldest batch of a partition in flight: its first offset, and its age."""

    tp: TopicPartition
    offset: int
    seconds: float


def oldest(
    batches: Mapping[TopicPartition, Iterable[PartitionRecords]],
) -> Iterable[InFlight]:
    """Yield the first unacknowledged batch of each partition that has one."""
    for tp, read in batches.items():
        for batch in read:
            if not batch.acknowledged:
                yield InFlight(tp, batch.records[0].offset, monotonic() - batch.began)
                break


class SlowBatchLog:
    """Logs the batches that stay in flight: after 10 seconds, then once a minute."""

    def __init__(self) -> None:
        self._due: dict[tuple[TopicPartition, int], float] = {}

    def update(self, batches: Iterable[InFlight], waiting: TopicPartition | None) -> None:
        """Log the slow ones of each partition's oldest; `waiting` waits for its agent."""
        due: dict[tuple[TopicPartition, int], float] = {}
        for tp, offset, seconds in batches:
            due[tp, offset] = self._due.get((tp, offset), SLOW_SECONDS)
            if seconds >= due[tp, offset]:
                due[tp, offset] = seconds + REPEAT_SECONDS
                log.warning(
                    "event=batch-slow topic=%s partition=%d offset=%d seconds=%.0f"
                    " waiting=%s",
                    *(*tp, offset, seconds),
                    f"{waiting.topic}-{waiting.partition}" if waiting else "none",
                )
        self._due = due


class InFlightBatches:
    """Marks each batch as acknowledged when all that it caused is."""

    def __init__(self) -> None:
        self._capacity = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._completing = BackgroundTasks()

    async def acquire(self) -> None:
        """Wait until one more batch may be read."""
        await self._capacity.acquire()

    def complete(
        self, event: Any, batches: ConsumerRecords, acks: Coroutine[Any, Any, None]
    ) -> None:
        """Await the acknowledgements of batches, and then let them be committed."""
        self._completing.start(self._complete(event, batches, acks))

    async def _complete(
        self, event: Any, batches: ConsumerRecords, acks: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await acks
            for batch in batches:
                batch.acknowledged = True
        finally:
            event.ack()  # Faust's own; nothing is committed without `acknowledged`
            self._capacity.release()
