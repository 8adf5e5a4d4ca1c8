"""What follows from records: commands first, and replies when those have arrived."""

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiokafka.structs import ConsumerRecord
from prometheus_client import Counter

from agents.aggregate import OutgoingMessage
from agents.cause import ForPurchase
from agents.runtime.client_replies import ClientReplyProducer
from agents.runtime.deserializer import MAX_HEADERS, MAX_KEY, Envelope, ReplyContext
from agents.runtime.metrics import DEAD_LETTERS as BURIED
from agents.runtime.metrics import ORDERS
from agents.runtime.producer import BatchingProducer, Headers
from schemas.cart import OrderSettled
from schemas.contract import Contract
from schemas.order import OrderStatusChanged
from topics.catalog import DEAD_LETTERS, DEFAULT_REPLIES, TOPIC_OF, TOPICS
from topics.kafka import headers as names
from topics.topic import Topic, TopicKind

Deliveries = set[asyncio.Future[Any]]

MAX_DEAD_LETTER = 2**20 + 2**18
"""More than a request topic takes uncompressed, and less than a topic of these takes."""

TRUNCATED = "; cut, since it is too large to be kept whole"
"""How the reason ends of a dead letter that has lost some of its bytes."""

SHOP_TOPICS = frozenset(topic.name for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """A record to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None


@dataclass(slots=True)
class RecordCollector:
    """What a batch of records has to say.

    Attributes:
        source: the topic of the batch.
        commands: requests to other aggregates, forwarded records, dead letters.
        rest: replies and facts; whoever sees them finds the commands behind him (R9).
        hops: ends the spans of the batch, where it is traced.
    """

    source: Topic
    commands: list[ProducerRecord] = field(default_factory=list)
    replies_and_events: list[ProducerRecord] = field(default_factory=list)
    spans: ExitStack = field(default_factory=ExitStack)

    def add(self, message: OutgoingMessage, envelope: Envelope) -> None:
        """Address a message: its type is its topic, or the caller's if it is a reply."""
        purchase = envelope.cause.purchase
        if isinstance(message, ForPurchase):
            purchase = message.purchase
            message = message.request
        topic = TOPIC_OF.get(type(message))
        if topic is None:
            self.reply(message, envelope.reply_context, envelope.key)
        elif topic.kind is TopicKind.REQUESTS:
            headers = envelope.propagated_headers(purchase)
            record = ProducerRecord(
                topic.name, topic.key_of(message), message.to_json(), headers
            )
            # How an order ended is the reply to a purchase, by way of its cart.
            (
                self.replies_and_events
                if isinstance(message, OrderSettled)
                else self.commands
            ).append(record)
        elif isinstance(message, OrderStatusChanged):
            _orders_by_status(message.status).inc()
            event_id = (names.EVENT_ID, message.event_id.encode())
            headers = [event_id, *envelope.reply_context.trace]
            self.replies_and_events.append(
                ProducerRecord(
                    topic.name, topic.key_of(message), message.to_json(), headers
                )
            )

    def reply(self, reply: Contract, to: ReplyContext, key: bytes | None) -> None:
        """Answer the caller, or whoever looks on if he named no topic of his own."""
        default = DEFAULT_REPLIES.get(self.source)
        topic = to.reply_topic or (default.name if default else None)
        if topic is not None:
            value = reply.to_json()
            self.replies_and_events.append(
                ProducerRecord(topic, key, value, to.headers, to.reply_partition)
            )

    def forward(self, record: ConsumerRecord, envelope: Envelope) -> None:
        """Pass a record on to its owner, as it is; its first place stays its name."""
        headers = [header for header in record.headers if header[0] != names.ORIGIN]
        headers.append((names.ORIGIN, envelope.cause.origin.encode()))
        self.commands.append(
            ProducerRecord(self.source.name, envelope.key, record.value, headers)
        )

    def dead_letter(self, record: ConsumerRecord, reason: str) -> None:
        """Send a record to the dead letters, byte for byte, with the reason.

        Only what its sender compressed can be larger than a dead letter: that is cut.
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
        headers += [(name, text.encode()) for name, text in details.items()]
        BURIED.labels(self.source.name).inc()
        topic = DEAD_LETTERS[self.source].name
        self.commands.append(ProducerRecord(topic, key, value, headers))


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value or b"") + 8 for name, value in headers)


@cache
def _orders_by_status(status: str) -> Counter:
    return ORDERS.labels(status)  # a quarter of the price


class Publisher:
    """Sends letters, each to its topic.

    Args:
        app: the Faust app whose producer is used.
    """

    def __init__(self, app: Any) -> None:
        self._producer: BatchingProducer = app.batching_producer
        self._client_replies = ClientReplyProducer(app.conf.cluster)

    async def send(self, records: Iterable[ProducerRecord]) -> Deliveries:
        """Send letters in order; return what tells that the brokers have them.

        Letters to topics that are not ours are posted on their own: such a topic may be
        slow, or not be there, and must hold nobody up.
        """
        deliveries: Deliveries = set()
        to_clients: list[ProducerRecord] = []
        for record in records:
            if record.topic in SHOP_TOPICS:
                deliveries.add(
                    await self._producer.send(
                        record.topic,
                        record.key,
                        record.value,
                        record.headers,
                        record.partition,
                    )
                )
            else:
                to_clients.append(record)
        if to_clients:
            deliveries.add(asyncio.create_task(self._client_replies.send(to_clients)))
        return deliveries
