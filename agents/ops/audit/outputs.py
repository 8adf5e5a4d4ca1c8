"""Checks that committed records have sent all that follows from them.

A committed record has caused its outputs: each command and event of its replay is at least
once in the log of its topic. Outputs of uncommitted records may still be in flight.

Replies are not checked: they stay for an hour, or went to clients' own topics. The reply to
a purchase may be sent late, when the order is already paid or cancelled. Only whether the
order failed is always the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.audit.replay import ReplayedRecord
from agents.ops.audit.snapshots import Snapshots
from agents.runtime.producer import ProducerRecord
from schemas.cart import OrderSettled
from schemas.contract import Contract
from schemas.order import OrderStatusChanged, Status
from topics.catalog import SENT_CHANGELOG, TOPICS
from topics.kafka import headers as names
from topics.kafka.location import RecordLocation
from topics.topic import TopicKind

_TOPICS = {
    topic.name: topic
    for topic in TOPICS
    if topic.kind in (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.DEAD_LETTERS)
}
_ORIGINAL = ("dlq.topic", "dlq.partition", "dlq.offset")


@dataclass
class OutputCheck:
    """Compares the outputs of replayed records with the records of all logs.

    Attributes:
        whole: the topics whose logs have their first records: only these are checked.
        snapshots: have the rows of sent notifications.
        in_flight: outputs of uncommitted records that are in no log yet.
    """

    committed: Mapping[TopicPartition, int]
    whole: frozenset[str]
    snapshots: Snapshots
    in_flight: dict[int, Contract | None] = field(default_factory=dict)
    _expected: dict[int, str] = field(default_factory=dict)
    _observed: set[int] = field(default_factory=set)
    _unnotified: list[str] = field(default_factory=list)

    def take(self, replayed: ReplayedRecord) -> None:
        """Observe a record, and expect its outputs."""
        request, record = replayed.request, replayed.record
        fingerprint = _fingerprint(record, request)
        if fingerprint is not None:
            self._observed.add(fingerprint)
            self._expected.pop(fingerprint, None)
            self.in_flight.pop(fingerprint, None)
        for output in replayed.records_sent:
            if output.topic in self.whole and output.topic in _TOPICS:
                self._expect(record, output)
        if isinstance(request, OrderStatusChanged):
            self._check_notification(record, request.event_id)

    def missing(self) -> list[str]:
        """Return the outputs that are missing, once all logs are read."""
        return [*self._unnotified, *self._expected.values()]

    def _expect(self, source: ConsumerRecord, output: ProducerRecord) -> None:
        fingerprint = _fingerprint(output)
        if fingerprint is None or fingerprint in self._observed:
            return
        if self._is_committed(source):
            key = (output.key or b"").decode(errors="backslashreplace")
            self._expected[fingerprint] = _missing(source, output.topic, key)
        else:
            self.in_flight[fingerprint] = _decode(output)

    def _check_notification(self, event: ConsumerRecord, event_id: str) -> None:
        sent = self.snapshots.get((SENT_CHANGELOG, event.partition))
        if self._is_committed(event) and (
            sent is None or event_id.encode() not in sent.rows
        ):
            self._unnotified.append(_missing(event, SENT_CHANGELOG.name, event_id))

    def _is_committed(self, record: ConsumerRecord) -> bool:
        tp = TopicPartition(record.topic, record.partition)
        return int(record.offset) < self.committed.get(tp, 0)


def _missing(source: ConsumerRecord, topic: str, key: str) -> str:
    return (
        f"{RecordLocation.of(source)} is committed, and {topic} has no record that follows"
        f" from it, key {key}"
    )


def _fingerprint(
    record: ConsumerRecord | ProducerRecord, message: Contract | None = None
) -> int | None:
    """Return the identity of a message, the same however often it is sent."""
    topic, headers = _TOPICS[record.topic], dict(record.headers)
    if topic.kind is TopicKind.DEAD_LETTERS:
        original = (headers.get(name) for name in _ORIGINAL)
        return hash((record.topic, record.key, record.value, *original))
    name = names.ORIGIN if topic.kind is TopicKind.REQUESTS else names.EVENT_ID
    if name not in headers:
        return None  # sent by a client
    message = message or _decode(record)
    if isinstance(message, OrderSettled):
        end = message.status if message.status is Status.FAILED else None
        message = message.model_copy(update={"status": end})
    # Encoded again, so that records of an older version of the shop are the same.
    value = message.to_json() if message else record.value
    return hash((record.topic, record.key, headers[name], value))


def _decode(record: ConsumerRecord | ProducerRecord) -> Contract | None:
    try:
        return _TOPICS[record.topic].decode(record.value or b"")
    except ValidationError:
        return None
