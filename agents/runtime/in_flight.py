"""Batches in flight: their bound, and the moment when they can be committed."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime.fail_stop import fail_stop

MAX_IN_FLIGHT = 64
"""Polls of an aggregate, or batches of a concurrent processor; then reading pauses."""


@dataclass(eq=False)
class PartitionRecords:
    """Records of one partition, in log order.

    Attributes:
        acknowledged: whether all records that they caused are acknowledged.
    """

    tp: TopicPartition
    records: list[ConsumerRecord] = field(repr=False)
    acknowledged: bool = False

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return int(self.records[-1].offset) + 1


ConsumerRecords = list[PartitionRecords]
"""The records that one poll brought of a topic, by partition."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch in flight, and the time since it was read."""

    tp: TopicPartition
    offset: int
    seconds: float


class InFlightBatches:
    """Marks each batch as acknowledged when all that it caused is."""

    def __init__(self) -> None:
        self._capacity = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._completing: dict[asyncio.Task[None], tuple[ConsumerRecords, float]] = {}

    async def acquire(self) -> None:
        """Wait until one more batch may be read."""
        await self._capacity.acquire()

    @property
    def full(self) -> bool:
        """Whether reading has paused until a batch is acknowledged."""
        return self._capacity.locked()

    def oldest(self) -> InFlight | None:
        """Return the batch that has been in flight for longest."""
        if not self._completing:
            return None
        batches, began = next(iter(self._completing.values()))
        first = batches[0]
        return InFlight(first.tp, first.records[0].offset, monotonic() - began)

    def complete(
        self, event: Any, batches: ConsumerRecords, acks: Coroutine[Any, Any, None]
    ) -> None:
        """Await the acknowledgements of batches, and then let them be committed."""
        task = asyncio.create_task(self._complete(event, batches, acks))
        self._completing[task] = batches, monotonic()
        task.add_done_callback(self._completed)

    async def _complete(
        self, event: Any, batches: ConsumerRecords, acks: Coroutine[Any, Any, None]
    ) -> None:
        try:
            await acks
            for batch in batches:
                batch.acknowledged = True
        finally:
            event.ack()  # Faust's own; nothing is committed without `acknowledged`

    def _completed(self, task: asyncio.Task[None]) -> None:
        del self._completing[task]
        self._capacity.release()
        if not task.cancelled() and task.exception() is not None:
            fail_stop("a batch failed: %r", task.exception())
