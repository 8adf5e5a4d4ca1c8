"""A table without Kafka: its changelog acknowledges at once."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from agents.aggregate import Aggregate, Cause
from agents.runtime import layout
from agents.runtime.changelog import ChangelogProducer
from agents.runtime.rows import Index
from agents.runtime.state_store import StateStore
from agents.runtime.sweeper import Sweeper
from agents.runtime.transaction import PartitionTransaction, fold
from schemas.contract import Contract
from topics.topic import Topic

P = 0
"""The only partition."""


Requests = Sequence[tuple[Contract, str | None]]
"""Requests with their idempotency keys."""


class _Worker:
    """A worker whose producer acknowledges at once."""

    def __init__(self) -> None:
        self.batching_producer = self.pause_monitor = self
        self._ends: dict[TopicPartition, int] = {}

    def send_batch(self, tp: TopicPartition, rows: Any, _: Any) -> asyncio.Future[Any]:
        begin = self._ends.get(tp, 0)
        self._ends[tp] = begin + len(rows)
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(RecordMetadata(tp.topic, P, tp, begin, 0, 0, 0))
        return sent

    def check(self) -> None:
        """Check for no pauses."""


class Table:
    """A table of one partition, its changelog and its sweep."""

    def __init__(
        self, directory: Path, changelog: Topic, index: Index, retention: timedelta
    ) -> None:
        self.store = StateStore(directory / changelog.name, "year", index)
        self.store.load(P)
        self.store.active.add(P)
        self.offset = 0
        worker: Any = _Worker()
        self._changelog = ChangelogProducer(worker, changelog, self.store)
        table = SimpleNamespace(name=changelog.name, data=SimpleNamespace(rows=self.store))
        self._sweeper = Sweeper(worker, changelog, table, lambda _: now() - retention)

    def write(self, rows: dict[bytes, bytes | None]) -> None:
        self._changelog.produce(self.store.put(P, rows, self.offset))

    async def process(
        self, aggregate: Aggregate[Any, Any, Any], requests: Requests
    ) -> None:
        """Process requests, as a worker's agent does."""
        transaction = PartitionTransaction(aggregate, self.store, P)
        for request, key in requests:
            self.offset += 1
            cause = Cause(now(), f"{aggregate.requests.name}-0-{self.offset}", key)
            envelope: Any = SimpleNamespace(request=request, cause=cause)
            fold(aggregate, transaction, envelope)
            if transaction.add_bytes(100):
                self.write(transaction.encoded_changes())
                transaction = PartitionTransaction(aggregate, self.store, P)
        if rows := transaction.encoded_changes():
            self.write(rows)
        await asyncio.sleep(0)

    async def sweep(self) -> None:
        """Take all steps of a pass."""
        self._sweeper.step()
        while self._sweeper.is_in_pass:
            await asyncio.sleep(0)
            self._sweeper.step()
        await asyncio.sleep(0)

    def count(self) -> tuple[int, int]:
        """Return the number of rows, and that of all stored keys."""
        keys = self.store.database.scan(*layout.key_range(P, b"", None))
        return sum(1 for _ in self.store.rows(P)), sum(1 for _ in keys)


def now() -> datetime:
    """Return the simulated time."""
    return datetime.fromtimestamp(time.time(), UTC)
