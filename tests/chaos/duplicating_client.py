"""A client of the request topics that sends each record several times."""

import asyncio
from random import Random
from typing import Any

from tests.e2e.clients import Answer, KafkaClient, as_record
from tests.e2e.kafka import Kafka
from tests.e2e.records import Record

LATEST_SECONDS = 2.0


class DuplicatingClient(KafkaClient):
    """Sends copies of each record, with a delay.

    Attributes:
        copies: the number of further copies of each record.
    """

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self.copies = 0
        self._random = Random(0)
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send a record and wait for its reply; copies follow with a delay."""
        for _ in range(self.copies if key else 0):
            task = asyncio.create_task(self._repeat(as_record(call, body, key)))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await super().ask(call, body, key)

    async def silent(self) -> None:
        """Wait until all copies are sent."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def _repeat(self, one: Record) -> None:
        """Send a copy late and to any partition, perhaps after later requests."""
        await asyncio.sleep(self._random.uniform(0, LATEST_SECONDS))
        partition = self._random.randrange(self.kafka.partitions)
        await self.kafka.send(Record(one.topic, one.value, one.key, one.headers, partition))
