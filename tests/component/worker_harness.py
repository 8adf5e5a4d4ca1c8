"""The inside of a worker on a bench: all of it is real but the brokers.

What it sends lies in the real producer's accumulator until a test lets it arrive, so that
a test can look at any moment in between; what it reads, the test hands in.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.aggregate import Aggregate
from agents.runtime.in_flight import ConsumerRecords, PartitionRecords
from agents.runtime.processor import AggregateAgent
from agents.runtime.state_store import StateStore
from agents.worker.app import MAX_BATCH_BYTES
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.contract import Contract
from topics.catalog import TOPIC_OF, TOPICS
from topics.kafka.location import partition_of

PARTITIONS = 2
TIME_MS = 1_763_900_000_000
_TURNS = 30

Headers = Iterable[tuple[str, bytes]]


class DiedError(Exception):
    """Stands for the end of the process."""


def settings(directory: Path) -> WorkerSettings:
    """Return settings of a worker that no pause of a slow test ends."""
    patient = {"state_dir": directory, "session_timeout_seconds": 3600}
    return WorkerSettings(partitions=PARTITIONS, **patient)


@dataclass
class Event:
    """A Faust event with a catch, as an agent sees it."""

    value: ConsumerRecords
    acks: int = 0
    awaited: int = 1

    @property
    def message(self) -> "Event":
        return self

    @property
    def settled(self) -> bool:
        return all(batch.acknowledged for batch in self.value)

    def incref(self, more: int) -> None:
        self.awaited += more

    def ack(self) -> None:
        self.acks += 1


@dataclass
class Stream:
    """A Faust stream of batches.

    Attributes:
        taken: batches that the agent has received.
    """

    queue: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    taken: int = 0

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self.queue.get()
            self.taken += 1
            yield event


class WorkerHarness:
    """A service that is built as ever, and what its producer was given.

    Args:
        service: of `settings`.

    Attributes:
        logs: what has arrived, by topic: record batches, each a list of records.
        ends: the offset after the last record, by topic and partition.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = service.app
        self._producer = AIOKafkaProducer(
            acks="all", enable_idempotence=True, max_batch_size=MAX_BATCH_BYTES
        )
        self.app.producer._producer = self._producer  # noqa: SLF001
        known = {topic.name: PARTITIONS for topic in TOPICS}
        self.app.batching_producer._partitions.update(known)  # noqa: SLF001
        self.logs: defaultdict[str, list[list[Any]]] = defaultdict(list)
        self.ends: Counter[TopicPartition] = Counter()
        self._running: list[asyncio.Task[None]] = []

    async def serve(self, aggregate: Aggregate[Any, Any, Any]) -> "Serving":
        """Put an aggregate's agent on the bench, with a table that has nothing in it."""
        agent = self.service.add_aggregate(aggregate)
        store = self.open(agent._table)  # noqa: SLF001
        await agent.on_recovered(set(range(PARTITIONS)))
        stream = Stream()
        self.run(agent.run(stream))
        return Serving(aggregate, agent, store, stream)

    def open(self, table: Any) -> StateStore:
        """Open the rows of a table."""
        path = self.service.settings.state_dir / table.name
        store = table.data.rows = StateStore(path, "here", **table.options)
        for partition in range(PARTITIONS):
            store.load(partition)
            store.active.add(partition)
        return store

    def run(self, agent: Any) -> None:
        """Have an agent run until the end of the test."""
        self._running.append(asyncio.create_task(agent))

    @property
    def lying(self) -> Counter[str]:
        """How many records of each topic are on their way."""
        return Counter(
            {
                tp.topic: sum(batch.record_count for batch in batches)
                for tp, batches in self._batches.items()
            }
        )

    async def arrive(self, *topics: str) -> None:
        """Let what lies there reach the broker (of these topics), and all draw breath."""
        await breathe()
        for tp in [tp for tp in self._batches if not topics or tp.topic in topics]:
            for batch in self._batches.pop(tp):
                records = MemoryRecords(bytes(batch.get_data_buffer())).next_batch()
                self.logs[tp.topic].append(list(records))
                batch.done(self.ends[tp])
                self.ends[tp] += batch.record_count
        await breathe()

    async def all_arrives(self) -> None:
        """Let everything arrive, and whatever follows from that."""
        await self.arrive()
        while self._batches:
            await self.arrive()

    async def fails(self, topic: str, error: Exception) -> None:
        """Have the broker refuse what lies there."""
        for tp in [tp for tp in self._batches if tp.topic == topic]:
            for batch in self._batches.pop(tp):
                batch.failure(error)
        await breathe()

    def sent(self, topic: str) -> list[Any]:
        """Return all records of a topic that have arrived."""
        return [record for batch in self.logs[topic] for record in batch]

    async def close(self) -> None:
        """Clear the bench."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    @property
    def _batches(self) -> dict[TopicPartition, Any]:
        batches: dict[TopicPartition, Any]
        batches = self._producer._message_accumulator._batches  # noqa: SLF001
        return batches


@dataclass
class Serving:
    """An aggregate's agent at work."""

    aggregate: Aggregate[Any, Any, Any]
    agent: AggregateAgent
    store: StateStore
    stream: Stream
    _offsets: Counter[int] = field(default_factory=Counter)

    async def read(self, *requests: Contract | ConsumerRecord) -> Event:
        """Hand in requests as one batch of one partition; return it as it is then."""
        records = [r if isinstance(r, ConsumerRecord) else record(r) for r in requests]
        partition = records[0].partition
        for each in records:
            each.offset = self._offsets[partition]
            self._offsets[partition] += 1
        event = Event(
            [PartitionRecords(TP(self.aggregate.requests.name, partition), records)]
        )
        await self.again(event)
        return event

    async def again(self, event: Event) -> None:
        """Hand in a batch that was handed in before."""
        self.stream.queue.put_nowait(event)
        await breathe()


def header(record: Any, name: str) -> str | None:
    """Return the text of a record's header."""
    value = dict(record.headers).get(name)
    return None if value is None else value.decode()


def record(
    request: Contract | bytes, *, headers: Headers = (), **different: Any
) -> ConsumerRecord:
    """Make a record, of its owner's partition unless another is given."""
    topic, key, value = "stock.requests", b"1", request
    if isinstance(request, Contract):
        home = TOPIC_OF[type(request)]
        topic, key, value = home.name, home.key_of(request), request.to_json()
    place = {"topic": topic, "key": key, "partition": partition_of(key, PARTITIONS)}
    rest = {"offset": 0, "timestamp": TIME_MS, "timestamp_type": 1, "checksum": None}
    sizes = {"serialized_key_size": len(key), "serialized_value_size": len(value)}
    given = place | rest | sizes | {"value": value, "headers": tuple(headers)} | different
    return ConsumerRecord(**given)


async def breathe() -> None:
    """Let every task go on until it waits for something from outside."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
