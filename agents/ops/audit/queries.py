"""Queries to the running shop: each is a record of a log, so the log gives its reply.

The first reply to a query is compared with the reply of the rules at the query's offset.
After a crash the reply may come from a later state, which is correct as well.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from aiokafka import TopicPartition
from pydantic import ValidationError

from agents.aggregate import OutgoingMessage
from agents.ops.audit.replay import ReplayedRecord
from agents.ops.audit.snapshots import AGGREGATES, Snapshots
from agents.runtime.producer import ProducerRecord
from schemas.cart import CartView, ListCart, PriceCart
from schemas.contract import Code, Contract, Refused
from schemas.order import ListOrder
from schemas.stock import ListStocks
from topics.catalog import CART_REPLIES, CART_REQUESTS, ORDER_REQUESTS, PRODUCT_REQUESTS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.topology import GROUPS

_MAX_IN_FLIGHT = 64
_NO_PRICE = (Code.PRODUCT_SERVICE, Code.UNKNOWN_PRODUCT, Code.TOTAL_TOO_LARGE)


@dataclass(frozen=True)
class QueryOptions:
    """How the running shop is queried; a limit of 0, for each aggregate, sends none."""

    limit: int
    seed: int
    timeout: timedelta


@dataclass(eq=False)
class Query:
    """A query, its location in the log, and its reply."""

    topic: Topic
    request: Contract
    at: RecordLocation | None = None
    reply: Contract | None = None

    def __str__(self) -> str:
        request = self.request.to_json().decode()
        return request if self.at is None else f"{request} at {self.at}"

    @property
    def is_unpriced(self) -> bool:
        """Whether ProductService had no prices for a cart."""
        return isinstance(self.reply, Refused) and self.reply.code in _NO_PRICE


def sample(topic: Topic, keys: Iterable[str], limit: int, seed: int) -> list[Query]:
    """Return queries of some of a table's rows, chosen at random."""
    numbers = sorted(key for key in keys if key.removeprefix("-").isdecimal())
    chosen = random.Random(seed).sample(numbers, min(limit, len(numbers)))
    return [Query(topic, _query_for(topic, int(key))) for key in chosen]


def _query_for(topic: Topic, key: int) -> Contract:
    if topic is CART_REQUESTS:
        return ListCart(user=key)
    return ListOrder(order_id=key) if topic is ORDER_REQUESTS else ListStocks(sku=key)


class QueryCheck:
    """Compares replies with those of the rules."""

    def __init__(self, queries: Iterable[Query]) -> None:
        self._queries = {query.at: query for query in queries if query.reply is not None}
        self._wrong: dict[Query, ReplayedRecord] = {}

    def take(self, replayed: ReplayedRecord) -> None:
        """Check the reply to a record, and wrong replies against its new state."""
        query = self._queries.pop(RecordLocation.of(replayed.record), None)
        if query and replayed.envelope:
            self._wrong[query] = replayed
        if self._wrong and (query or replayed.changed):
            wrong = self._wrong.items()
            self._wrong = {q: at for q, at in wrong if not _is_right(q, at, replayed)}

    def wrong(self) -> Iterator[str]:
        """Yield the queries with wrong replies, and the replies of the rules."""
        for query, at in self._wrong.items():
            reply = query.reply.to_json().decode() if query.reply else ""
            yield f"{query}: replied {reply}, but the log gives {at.messages[0]}"


def _is_right(query: Query, at: ReplayedRecord, later: ReplayedRecord) -> bool:
    """Return whether a reply is that of the rules after a record of the same row."""
    is_same_row = query.topic.name == later.record.topic and at.keys[0] == later.keys[0]
    if not (is_same_row and at.envelope):
        return False
    aggregate = AGGREGATES[query.topic]
    _, (expected,) = aggregate.step(later.state, query.request, at.envelope.cause)
    return matches(expected, query.reply)


def matches(expected: OutgoingMessage, reply: Contract | None) -> bool:
    """Return whether a reply is that of the rules.

    Names and prices are ProductService's, which may also have none.
    """
    if not isinstance(expected, PriceCart):
        return bool(reply == expected)
    if isinstance(reply, Refused):
        return reply.code in _NO_PRICE
    if not isinstance(reply, CartView):
        return False
    found, lines = ({(i.sku, i.count) for i in cart.items} for cart in (reply, expected))
    return found == lines


async def send_queries(
    reader: TopicReader,
    cluster: KafkaSettings,
    options: QueryOptions,
    snapshots: Snapshots,
    notes: list[str],
) -> list[Query]:
    """Query rows of services that run; the logs of the snapshots are whole."""
    queries: list[Query] = []
    if not options.limit:
        return queries
    for topic, aggregate in AGGREGATES.items():
        if idle := await _idle_group(reader, topic):
            notes.append(f"{idle} does not run: no query of {topic.name}")
            continue
        keys = (
            key.decode(errors="replace")
            for snapshot in snapshots.values()
            if snapshot.changelog is aggregate.changelog
            for key in snapshot.rows
        )
        queries += sample(topic, keys, options.limit, options.seed)
    in_flight = asyncio.Semaphore(_MAX_IN_FLIGHT)
    async with RequestReplyClient(cluster, replies=None, idempotent=True) as client:

        async def send(query: Query) -> None:
            key, value = query.topic.key_of(query.request), query.request.to_json()
            record = ProducerRecord(query.topic.name, key, value, [])
            async with in_flight, client.request(record) as (sent, pending):
                query.at = RecordLocation.of(sent)
                with suppress(TimeoutError, ValidationError):
                    async with asyncio.timeout(options.timeout.total_seconds()):
                        query.reply = CART_REPLIES.decode(await pending.reply)

        await asyncio.gather(*map(send, queries))
    return queries


async def unanswered(
    reader: TopicReader, options: QueryOptions, queries: Iterable[Query], notes: list[str]
) -> list[str]:
    """Return the queries without a reply, except those whose service does not run."""
    missing, committed = [], await reader.committed(GROUPS)
    for query in queries:
        if query.at and query.reply is None:
            text = f"{query}: no reply within {options.timeout}"
            tp = TopicPartition(query.at.topic, query.at.partition)
            if committed.get(tp, 0) > query.at.offset:
                missing.append(f"{text}, and committed")
            elif group := await _idle_group(reader, query.topic):
                notes.append(f"{text}: {group} does not run")
            else:
                missing.append(text)
    return missing


async def _idle_group(reader: TopicReader, topic: Topic) -> str:
    """Return the name of a group without members that replies need, or ""."""
    topics = (topic, PRODUCT_REQUESTS) if topic is CART_REQUESTS else (topic,)
    for group in (GROUPS[topic] for topic in topics):
        if not await reader.has_members(group):
            return group
    return ""
