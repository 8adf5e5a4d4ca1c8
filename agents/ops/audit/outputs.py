"""What committed records had to say, and whether it was said (promise R2).

A record that is committed has caused all that follows from it: each command and fact that
its replay says must stand in the log that it goes to, at least once. What records said that
are not committed yet, and what is not there yet, is under way.

Replies are left out: they stay for an hour, or went to topics of other people's. How an
order ended may be told late, when the order has been paid or cancelled meanwhile; only
whether it failed is the same each time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.audit.replay import ReplayedRecord
from agents.runtime.collector import ProducerRecord
from schemas.cart import OrderSettled
from schemas.contract import Contract
from schemas.order import Status
from topics.catalog import TOPICS
from topics.kafka import headers as names
from topics.topic import TopicKind

_TOPICS = {
    topic.name: topic
    for topic in TOPICS
    if topic.kind in (TopicKind.REQUESTS, TopicKind.EVENTS, TopicKind.DEAD_LETTERS)
}
_ORIGINAL = ("dlq.topic", "dlq.partition", "dlq.offset")


@dataclass(frozen=True, slots=True)
class MissingOutput:
    """What a committed record had to say."""

    source: str
    topic: str
    key: str

    def __str__(self) -> str:
        return (
            f"{self.source} is committed, and what follows from it was never said"
            f" in {self.topic}, key {self.key}"
        )


@dataclass
class OutputCheck:
    """What had to be said, against what was.

    Attributes:
        committed: up to where the readers of each partition are done.
        whole: the topics whose logs still have their beginning: others can't be judged.
        under_way: what was not said, of records that are not committed.
    """

    committed: Mapping[TopicPartition, int]
    whole: frozenset[str]
    under_way: dict[int, Contract | None] = field(default_factory=dict)
    _expected: dict[int, MissingOutput] = field(default_factory=dict)
    _observed: set[int] = field(default_factory=set)

    def take(self, replayed: ReplayedRecord) -> None:
        """Note what a record had to say, and that it was said itself."""
        self._hear(replayed)
        for output in replayed.records_sent:
            if output.topic in self.whole and output.topic in _TOPICS:
                self._expect(replayed.record, output)

    def missing(self) -> Iterator[MissingOutput]:
        """Yield what was never said."""
        yield from self._expected.values()

    def observe(self, record: ConsumerRecord, message: Contract | None) -> None:
        """Note that something was said."""
        if not record.headers:
            return
        fingerprint = _mark(
            record.topic, record.key, record.value, dict(record.headers), message
        )
        if fingerprint is not None:
            self._observed.add(fingerprint)
            self._expected.pop(fingerprint, None)
            self.under_way.pop(fingerprint, None)

    def _hear(self, replayed: ReplayedRecord) -> None:
        self.observe(
            replayed.record, replayed.envelope.request if replayed.envelope else None
        )

    def _expect(self, record: ConsumerRecord, output: ProducerRecord) -> None:
        headers = dict(output.headers)
        fingerprint = _mark(output.topic, output.key, output.value, headers, None)
        if fingerprint is None or fingerprint in self._observed:
            return
        done = self.committed.get(TopicPartition(record.topic, record.partition), 0)
        if record.offset < done:
            source = f"{record.topic}-{record.partition}@{record.offset}"
            key = (output.key or b"").decode(errors="backslashreplace")
            self._expected[fingerprint] = MissingOutput(source, output.topic, key)
        else:
            self.under_way[fingerprint] = _read(output.topic, output.value)


def _mark(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Mapping[str, bytes],
    message: Contract | None,
) -> int | None:
    """Return what tells a message from others, however often it is said."""
    if _TOPICS[topic].kind is TopicKind.DEAD_LETTERS:
        return hash((topic, key, value, *(headers.get(name) for name in _ORIGINAL)))
    name = names.ORIGIN if _TOPICS[topic].kind is TopicKind.REQUESTS else names.EVENT_ID
    if name not in headers:
        return None  # somebody else's
    message = message or _read(topic, value)
    if isinstance(message, OrderSettled):
        end = message.status if message.status is Status.FAILED else None
        message = message.model_copy(update={"status": end})
    # Read and written anew, so that what an older version of the shop wrote is the same.
    return hash((topic, key, headers[name], message.to_json() if message else value))


def _read(topic: str, value: bytes | None) -> Contract | None:
    try:
        return _TOPICS[topic].decode(value or b"")
    except ValidationError:
        return None
