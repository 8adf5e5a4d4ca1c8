"""Checks that committed records have sent all that follows from them.

Each command and event of a committed record's replay is at least once in the log of its
topic. Outputs of uncommitted records may still be in flight.

Replies are not checked: they stay for an hour, or went to clients' own topics. The reply to
a purchase may be sent late, when the order is already paid or cancelled. Only whether the
order failed is always the same.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.audit.replay import ReplayedRecord
from agents.ops.audit.snapshots import AGGREGATES, Snapshots, as_text
from agents.runtime.producer import ProducerRecord
from schemas.cart import OrderSettled
from schemas.contract import Contract
from schemas.order import OrderStatusChanged, Status
from schemas.stock import Reserve
from topics.catalog import SENT_CHANGELOG, TOPICS
from topics.kafka import headers as names
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRanges
from topics.topic import EVENT_RETENTION, TopicKind

_TOPICS = {
    topic.name: topic
    for topic in TOPICS
    if topic.kind in (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.DEAD_LETTERS)
}
_ORIGINAL = ("dlq.topic", "dlq.partition", "dlq.offset", "dlq.generation")


@dataclass
class OutputCheck:
    """Compares the outputs of replayed records with the records of all logs.

    Attributes:
        snapshots: have the rows of sent notifications.
        in_flight: outputs of uncommitted records that are in no log yet.
        missing: a line for each missing output, once all logs are read.
        now: in seconds; older notifications than `EVENT_RETENTION` may be deleted.
        whole: topics whose logs have their first records; only these are checked.
        sent: outputs that the checkpoint of the audit's begin has.
    """

    ranges: OffsetRanges
    committed: Mapping[TopicPartition, int]
    snapshots: Snapshots
    in_flight: dict[int | None, Contract | None] = field(default_factory=dict)
    missing: dict[int | None, str] = field(default_factory=dict)
    now: float = field(default_factory=time.time)
    sent: InitVar[Iterable[ProducerRecord]] = ()

    def __post_init__(self, sent: Iterable[ProducerRecord]) -> None:
        cut = {tp.topic for tp, held in self.ranges.items() if held.begin}
        self.whole = {tp.topic for tp in self.ranges} - cut
        self._observed: set[int | None] = {None, *map(_fingerprint, sent)}
        self._uncommitted: dict[int | None, ProducerRecord] = {}

    def take(self, replayed: ReplayedRecord) -> None:
        """Observe a record, and expect its outputs."""
        request, record = replayed.request, replayed.record
        fingerprint = _fingerprint(record, request)
        self._observed.add(fingerprint)
        self.missing.pop(fingerprint, None)
        self.in_flight.pop(fingerprint, None)
        tp = TopicPartition(record.topic, record.partition)
        is_committed = record.offset < self.committed.get(tp, 0)
        for output in replayed.records_sent:
            if output.topic in _TOPICS:
                self._expect(output, record, is_committed=is_committed)
        if is_committed and isinstance(request, OrderStatusChanged):
            changelog, key = SENT_CHANGELOG.name, request.event_id
            sent = self.snapshots.get(TopicPartition(changelog, record.partition))
            is_kept = request.at.timestamp() > self.now - EVENT_RETENTION.total_seconds()
            if is_kept and (sent is None or key.encode() not in sent.rows):
                self.missing[hash(key)] = _missing(record, changelog, key)

    def is_conclusive(self) -> bool:
        """Return whether no other messages than those in flight are on their way.

        Of a log without its first records, the outputs of uncommitted records are unknown.
        """
        topics = {topic.name for topic in AGGREGATES}
        return self.whole >= topics or all(
            self.committed.get(tp, 0) >= held.end
            for tp, held in self.ranges.items()
            if tp.topic in topics
        )

    def sent_early(self) -> list[ProducerRecord]:
        """Return the outputs of uncommitted records that are in their logs already."""
        uncommitted = self._uncommitted.items()
        return [output for key, output in uncommitted if key in self._observed]

    def _expect(
        self, output: ProducerRecord, source: ConsumerRecord, *, is_committed: bool
    ) -> None:
        fingerprint = _fingerprint(output)
        if not is_committed:
            self._uncommitted[fingerprint] = output
        if fingerprint in self._observed or output.topic not in self.whole:
            return
        if is_committed:
            key = as_text(output.key or b"")
            self.missing[fingerprint] = _missing(source, output.topic, key)
        else:
            self.in_flight[fingerprint] = _decode(output)


def _missing(source: ConsumerRecord, topic: str, key: str) -> str:
    text = f"{RecordLocation.of(source)} is committed, and {topic} has no record that"
    return f"{text} follows from it, key {key}"


def _fingerprint(
    record: ConsumerRecord | ProducerRecord, message: Contract | None = None
) -> int | None:
    """Return the identity of a message, however often it is sent; None: of a client."""
    topic, headers = _TOPICS[record.topic], dict(record.headers)
    if topic.kind is TopicKind.DEAD_LETTERS:
        original = (headers.get(name) for name in _ORIGINAL)
        return hash((record.topic, record.key, record.value, *original))
    name = names.ORIGIN if topic.kind is TopicKind.REQUESTS else names.EVENT_ID
    if name not in headers:
        return None
    message = message or _decode(record)
    if isinstance(message, OrderSettled):
        end = message.status if message.status is Status.FAILED else None
        message = message.model_copy(update={"status": end})
    if isinstance(message, Reserve):  # older releases do not send `at`
        message = message.model_copy(update={"at": None})
    # Encoded again, so that records of an older version of the shop are the same.
    value = message.to_json() if message else record.value
    return hash((record.topic, record.key, headers[name], value))


def _decode(record: ConsumerRecord | ProducerRecord) -> Contract | None:
    try:
        return _TOPICS[record.topic].decode(record.value or b"")
    except ValidationError:
        return None
