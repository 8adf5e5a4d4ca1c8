"""Changelogs without a broker, and a consumer that reads them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from agents.runtime.changelog import PROCESSED_OFFSET_HEADER
from agents.runtime.rows import Row
from agents.runtime.state_store import StateStore
from tests.e2e.waiting import until

ORDERS, STOCK = "orders-changelog", "stock-changelog"

POLL_SECONDS = 0.005


class Broker:
    """Changelogs, and their readers.

    Attributes:
        rows: of each partition; its offsets begin at 0.
        assigned: the partitions of the newest reader.
        sought: where it began.
        stalled: whether fetches bring nothing.
        error: of the next fetch.
    """

    def __init__(self) -> None:
        self.rows: defaultdict[TopicPartition, list[Row]] = defaultdict(list)
        self.assigned: list[TopicPartition] = []
        self.sought: dict[TopicPartition, int] = {}
        self.stalled = False
        self.error: KafkaError | None = None

    def append(self, partition: int, *rows: Row, topic: str = STOCK) -> None:
        self.rows[TopicPartition(topic, partition)] += rows


class Reader:
    """A consumer of changelogs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self._broker.assigned = [*tps]
        self._broker.sought = {}
        self._positions: dict[TopicPartition, int] = {}

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict:
        return {tp: len(self._broker.rows[tp]) for tp in tps}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = self._broker.sought[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    def highwater(self, tp: TopicPartition) -> int | None:
        return len(self._broker.rows[tp])

    async def getmany(self, *tps: TopicPartition, **_: object) -> dict:
        await asyncio.sleep(POLL_SECONDS)
        if error := self._broker.error:
            self._broker.error = None
            raise error
        for tp in tps or self._positions:
            if not self._broker.stalled and (found := self._records(tp)):
                self._positions[tp] = found[-1].offset + 1
                return {tp: found}
        return {}

    def _records(self, tp: TopicPartition) -> list[ConsumerRecord]:
        begin, log = self._positions[tp], self._broker.rows[tp]
        if begin > len(log):  # out of range, so as auto_offset_reset has it
            begin = 0
        return [
            _record(tp, offset, row) for offset, row in enumerate(log) if offset >= begin
        ]


def _record(tp: TopicPartition, offset: int, row: Row) -> ConsumerRecord:
    headers = [(PROCESSED_OFFSET_HEADER, b"%d" % row.source_offset)]
    return ConsumerRecord(*tp, offset, 0, 0, row.key, row.value, None, -1, -1, headers)


def rows(number: int, begin: int = 0) -> list[Row]:
    return [Row(b"%d" % n, b"v", n + 1) for n in range(begin, begin + number)]


async def has(store: StateStore, partition: int, number: int) -> None:
    """Wait until a partition has so many rows."""
    await until(lambda: len([*store.rows(partition)]) == number, f"{number} rows", 5)
