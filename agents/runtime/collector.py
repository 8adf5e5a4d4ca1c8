"""Records that a batch sends: commands first, replies and events behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka.structs import ConsumerRecord

from agents.aggregate import OutgoingMessage, WithHeaders
from agents.runtime.client_replies import ClientReplyProducer
from agents.runtime.deserializer import MAX_HEADERS, MAX_KEY, Envelope, ReplyContext
from agents.runtime.fail_stop import PauseMonitor
from agents.runtime.metrics import DEAD_LETTERS as DEAD_LETTER_COUNT
from agents.runtime.producer import BatchingProducer, Headers, ProducerRecord
from schemas.contract import Contract
from topics.catalog import (
    DEAD_LETTERS,
    DEFAULT_REPLIES,
    GATEWAY_REPLIES,
    TOPIC_OF,
    TOPICS,
)
from topics.kafka import headers as names
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind

Deliveries = set[asyncio.Future[Any]]

MAX_DEAD_LETTER = 2**20 + 2**18
"""More than a request topic takes uncompressed, and less than a dead letter topic takes."""

TRUNCATED = "; cut, since it is too large to be kept whole"
"""The end of the reason of a dead letter that lacks bytes."""

SHOP_TOPICS = frozenset(topic.name for topic in TOPICS)
_REPLIES = frozenset(GATEWAY_REPLIES.contracts)


@dataclass(slots=True)
class RecordCollector:
    """The records that a batch sends.

    Attributes:
        source: the topic of the batch.
        commands: requests to other aggregates, forwarded records, dead letters.
        replies_and_events: sent once the commands are acknowledged, so a receiver finds
            their effects.
        spans: closes the spans of the batch, where tracing is on.
    """

    source: Topic
    commands: list[ProducerRecord] = field(default_factory=list)
    replies_and_events: list[ProducerRecord] = field(default_factory=list)
    spans: ExitStack = field(default_factory=ExitStack)

    @property
    def records(self) -> list[ProducerRecord]:
        """All records, commands first."""
        return [*self.commands, *self.replies_and_events]

    def add(self, message: OutgoingMessage, envelope: Envelope) -> None:
        """Address a message: its type decides its topic; a reply goes to the caller.

        Raises:
            TypeError: the message has no topic, and is no reply.
        """
        extra = envelope.cause.headers
        if isinstance(message, WithHeaders):
            extra = {**extra, **message.headers}
            message = message.message
        topic = TOPIC_OF.get(type(message))
        if topic is None:
            if type(message) not in _REPLIES:
                raise TypeError(f"{type(message).__name__} has no topic, and is no reply")
            self.reply(message, envelope.reply_context, envelope.key)
            return
        is_event = topic.kind is TopicKind.EVENTS
        if is_event:
            event_id = (names.EVENT_ID, topic.event_id_of(message))
            headers = [event_id, *envelope.reply_context.trace]
        else:
            headers = envelope.propagated_headers(extra)
        out = self.replies_and_events if is_event or message.deferred else self.commands
        key, value = topic.key_of(message), message.to_json()
        out.append(ProducerRecord(topic.name, key, value, headers))

    def reply(self, reply: Contract, to: ReplyContext, key: bytes | None) -> None:
        """Send a reply to the caller's topic, or else to the aggregate's reply topic."""
        default = DEFAULT_REPLIES.get(self.source)
        topic = to.reply_topic or (default.name if default else None)
        if topic is not None:
            record = ProducerRecord(
                topic, key, reply.to_json(), to.headers, to.reply_partition
            )
            self.replies_and_events.append(record)

    def forward(self, record: ConsumerRecord, envelope: Envelope) -> None:
        """Forward a record unchanged to its owner; its first location stays its origin."""
        headers = [header for header in record.headers if header[0] != names.ORIGIN]
        headers.append((names.ORIGIN, envelope.cause.origin.encode()))
        self.commands.append(
            ProducerRecord(self.source.name, envelope.key, record.value, headers)
        )

    def dead_letter(self, record: ConsumerRecord, reason: str, generation: int = 0) -> None:
        """Send a record to the dead letter topic, byte for byte, with the reason.

        Only a record that its sender compressed can exceed a dead letter: it is cut.
        """
        key, value, headers = record.key, record.value, list(record.headers)
        if _size(headers) + len(key or b"") + len(value or b"") > MAX_DEAD_LETTER:
            reason += TRUNCATED
            headers = headers if _size(headers) <= MAX_HEADERS else []
            key, value = key and key[:MAX_KEY], value and value[: MAX_DEAD_LETTER // 2]
        details = {
            "dlq.reason": reason,
            "dlq.topic": record.topic,
            "dlq.partition": str(record.partition),
            "dlq.offset": str(record.offset),
        }
        if generation:
            details["dlq.generation"] = str(generation)
        headers += [(name, text.encode()) for name, text in details.items()]
        DEAD_LETTER_COUNT.labels(self.source.name).inc()
        topic = DEAD_LETTERS[self.source].name
        self.commands.append(ProducerRecord(topic, key, value, headers))


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value or b"") + 8 for name, value in headers)


class Worker(Protocol):
    """A worker process, as the runtime uses it; a Faust app implements it."""

    batching_producer: BatchingProducer
    client_replies: ClientReplyProducer
    pause_monitor: PauseMonitor

    @property
    def settings(self) -> KafkaSettings:
        """The settings of Kafka's clients."""

    @property
    def generation(self) -> int:
        """How often the topics were repartitioned; known once the worker has started."""

    def add_revocation_listener(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Await a listener before partitions are given up."""


class Publisher:
    """Sends records, each to its topic."""

    def __init__(self, worker: Worker) -> None:
        self._producer = worker.batching_producer
        self._client_replies = worker.client_replies

    async def send(self, records: Iterable[ProducerRecord]) -> Deliveries:
        """Send records in order; return the futures of their acknowledgements.

        Topics of clients have a producer of their own: a slow or missing one must delay
        no other record.
        """
        deliveries: Deliveries = set()
        to_clients: list[ProducerRecord] = []
        for record in records:
            if record.topic in SHOP_TOPICS:
                deliveries.add(await self._producer.send(record))
            else:
                to_clients.append(record)
        if to_clients:
            deliveries.add(asyncio.create_task(self._client_replies.send(to_clients)))
        return deliveries
