"""Checks that committed records have sent all that follows from them.

A committed record has caused its outputs: each command and event of its replay is at least
once in the log of its topic. Outputs of uncommitted records may still be in flight.

Replies are not checked: they stay for an hour, or went to clients' own topics. The reply to
a purchase may be sent late, when the order is already paid or cancelled. Only whether the
order failed is always the same.
"""

from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class MissingOutput:
    """An output of a committed record that is in no log."""

    source: RecordLocation
    topic: str
    key: str

    def __str__(self) -> str:
        return (
            f"{self.source} is committed, and {self.topic} has no record that follows from"
            f" it, key {self.key}"
        )


@dataclass
class OutputCheck:
    """Compares the outputs of replayed records with the records of all logs.

    Attributes:
        committed: the committed offset of each partition.
        whole: the topics whose logs have their first records: only these are checked.
        snapshots: of the changelogs, with the rows of sent notifications.
        in_flight: outputs of uncommitted records that are in no log yet.
    """

    committed: Mapping[TopicPartition, int]
    whole: frozenset[str]
    snapshots: Snapshots
    in_flight: dict[int, Contract | None] = field(default_factory=dict)
    _expected: dict[int, MissingOutput] = field(default_factory=dict)
    _observed: set[int] = field(default_factory=set)
    _unnotified: list[MissingOutput] = field(default_factory=list)

    def take(self, replayed: ReplayedRecord) -> None:
        """Observe a record, and expect its outputs."""
        request = replayed.envelope.request if replayed.envelope else None
        self._observe(replayed.record, request)
        for output in replayed.records_sent:
            if output.topic in self.whole and output.topic in _TOPICS:
                self._expect(replayed, output)
        if isinstance(request, OrderStatusChanged):
            self._check_notification(replayed, request.event_id)

    def missing(self) -> Iterator[MissingOutput]:
        """Yield the outputs that are missing, once all logs are read."""
        yield from self._unnotified
        yield from self._expected.values()

    def _observe(self, record: ConsumerRecord, message: Contract | None) -> None:
        if not record.headers:
            return
        headers = dict(record.headers)
        fingerprint = _fingerprint(record.topic, record.key, record.value, headers, message)
        if fingerprint is not None:
            self._observed.add(fingerprint)
            self._expected.pop(fingerprint, None)
            self.in_flight.pop(fingerprint, None)

    def _expect(self, replayed: ReplayedRecord, output: ProducerRecord) -> None:
        headers = dict(output.headers)
        fingerprint = _fingerprint(output.topic, output.key, output.value, headers, None)
        if fingerprint is None or fingerprint in self._observed:
            return
        if self._is_committed(replayed):
            source = RecordLocation.of(replayed.record)
            key = (output.key or b"").decode(errors="backslashreplace")
            self._expected[fingerprint] = MissingOutput(source, output.topic, key)
        else:
            self.in_flight[fingerprint] = _decode(output.topic, output.value)

    def _check_notification(self, replayed: ReplayedRecord, event_id: str) -> None:
        sent = self.snapshots.get((SENT_CHANGELOG, replayed.record.partition))
        if self._is_committed(replayed) and (
            sent is None or event_id.encode() not in sent.rows
        ):
            source = RecordLocation.of(replayed.record)
            missing = MissingOutput(source, SENT_CHANGELOG.name, event_id)
            self._unnotified.append(missing)

    def _is_committed(self, replayed: ReplayedRecord) -> bool:
        return int(replayed.record.offset) < self.committed.get(replayed.tp, 0)


def _fingerprint(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Mapping[str, bytes],
    message: Contract | None,
) -> int | None:
    """Return the identity of a message, the same however often it is sent."""
    if _TOPICS[topic].kind is TopicKind.DEAD_LETTERS:
        return hash((topic, key, value, *(headers.get(name) for name in _ORIGINAL)))
    name = names.ORIGIN if _TOPICS[topic].kind is TopicKind.REQUESTS else names.EVENT_ID
    if name not in headers:
        return None  # sent by a client
    message = message or _decode(topic, value)
    if isinstance(message, OrderSettled):
        end = message.status if message.status is Status.FAILED else None
        message = message.model_copy(update={"status": end})
    # Encoded again, so that records of an older version of the shop are the same.
    return hash((topic, key, headers[name], message.to_json() if message else value))


def _decode(topic: str, value: bytes | None) -> Contract | None:
    try:
        return _TOPICS[topic].decode(value or b"")
    except ValidationError:
        return None
