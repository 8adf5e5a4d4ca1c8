"""A worker's processing of a record without a broker: from fetched bytes to outputs.

The bytes are record batches of aiokafka; router, rules and rows are the shop's own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.runtime.collector import RecordCollector
from agents.runtime.producer import ProducerRecord
from agents.runtime.router import RecordRouter
from agents.runtime.transaction import PartitionTransaction
from schemas.contract import Code
from tests.fuzz.records import Fuzzer, Wire
from topics.catalog import DEAD_LETTERS, ORDER_EVENTS, PRODUCT_REQUESTS
from topics.kafka.compat import LenientRecords
from topics.topic import Topic

AGGREGATES: dict[Topic, Aggregate[Any, Any, Any]] = {
    aggregate.requests: aggregate
    for aggregate in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
}
SOURCES = (*AGGREGATES, PRODUCT_REQUESTS, ORDER_EVENTS)
UNDERSTOOD = {topic.name: topic for topic in SOURCES}

_PARTITION = 0
_BATCH = 100
_CODECS = 5
_MAX_SHOWN = 2000


class _Rows(dict[tuple[int, bytes], bytes]):
    def get(self, partition: int, key: bytes) -> bytes | None:  # type: ignore[override]
        return super().get((partition, key))


class Worker:
    """Processes records of a topic, and checks that each has exactly one result.

    Args:
        topic: the topic.
        partitions: its number; the worker has the first one.

    Attributes:
        results: the number of records that were served, forwarded, dead-lettered, refused.
    """

    def __init__(self, topic: Topic, partitions: int) -> None:
        self.results: Counter[str] = Counter()
        self._topic = topic
        self._router = RecordRouter(topic, partitions)
        self._rows = _Rows()

    def take(self, sent: Wire, record: ConsumerRecord) -> None:
        """Process one record."""
        assert (record.key, record.value) == (sent.key, sent.value)
        assert len(record.headers) == len(sent.headers)
        out = RecordCollector(self._topic)
        envelope = self._router.route(record, out)
        if envelope is not None:
            self.results["served"] += 1
            self._step(envelope, record)
        elif not out.commands:
            self.results["refused"] += 1
            [refusal] = out.replies_and_events
            assert f'"code":"{Code.BAD_REQUEST}"'.encode() in refusal.value
        else:
            [produced] = out.commands
            self._follow(produced, record)

    def _follow(self, produced: ProducerRecord, record: ConsumerRecord) -> None:
        if produced.topic == self._topic.name:
            self.results["forwarded"] += 1
            assert produced.value == record.value
            return
        self.results["dead letter"] += 1
        assert produced.topic == DEAD_LETTERS[self._topic].name
        assert (produced.key, produced.value) == (record.key, record.value)
        assert produced.headers[: len(record.headers)] == list(record.headers)

    def _step(self, envelope: Any, record: ConsumerRecord) -> None:
        aggregate = AGGREGATES.get(self._topic)
        if aggregate is None:
            return
        transaction = PartitionTransaction(aggregate, self._rows, _PARTITION)
        request, cause = envelope.request, envelope.cause
        keys = aggregate.identify(request, cause)
        state = transaction.state(keys, cause.timestamp)
        after, messages = aggregate.step(state, request, cause)
        if after is not state:
            transaction.put(keys, after)
        out = RecordCollector(self._topic)
        for message in messages:
            out.add(message, envelope)
        for produced in out.records:
            if produced.topic in UNDERSTOOD:
                UNDERSTOOD[produced.topic].decode(produced.value)
        rows = transaction.encoded_changes().items()
        self._rows.update({(_PARTITION, key): value for key, value in rows})


def run(name: str, seed: int, number: int) -> Counter[str]:
    """Process a number of records of a topic; return the counts of their results.

    Raises:
        AssertionError: a record has not exactly one result, or a wrong one.
    """
    topic = next(topic for topic in SOURCES if topic.name == name)
    worker, offset = Worker(topic, 1 + seed % 2), 0
    for batch in _batches(Fuzzer(seed).records(topic.name, number)):
        read = _through_the_wire(topic, batch, offset)
        for sent, record in zip(batch, read, strict=True):
            try:
                worker.take(sent, record)
            except Exception as wrong:
                wrong.add_note(f"seed {seed}: {str(record)[:_MAX_SHOWN]}")
                raise
        offset += len(batch)
    return worker.results


def _batches(records: Iterable[Wire]) -> Iterator[list[Wire]]:
    batch: list[Wire] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _through_the_wire(
    topic: Topic, batch: list[Wire], first: int
) -> Iterator[ConsumerRecord]:
    codec = first // _BATCH % _CODECS
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 2**30)
    for n, record in enumerate(batch):
        builder.append(n, record.timestamp, record.key, record.value, [*record.headers])
    records = LenientRecords(bytes(builder.build()))
    while (fetched := records.next_batch()) is not None:
        for r in fetched:
            yield ConsumerRecord(
                topic.name,
                _PARTITION,
                first + r.offset,
                r.timestamp,
                r.timestamp_type,
                r.key,
                r.value,
                r.checksum,
                len(r.key or b""),
                len(r.value or b""),
                tuple(r.headers),
            )
