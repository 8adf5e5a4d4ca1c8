"""Queries to the running shop: each is a record of a log, so the log gives its reply.

The first reply to a query is compared with the reply of the rules at the query's offset.
After a crash the reply may come from a later state, which is correct as well.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from aiokafka import TopicPartition
from pydantic import ValidationError

from agents.aggregate import OutgoingMessage
from agents.ops.audit.replay import AGGREGATES, ReplayedRecord
from agents.ops.audit.report import Report
from agents.ops.audit.snapshots import Snapshots
from agents.runtime.producer import ProducerRecord
from schemas.cart import CartView, ListCart
from schemas.contract import Code, Contract, Refused
from schemas.order import ListOrder
from schemas.product import PriceCart
from schemas.stock import ListStocks
from topics.catalog import CART_REPLIES, CART_REQUESTS, ORDER_REQUESTS, PRODUCT_REQUESTS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRanges, TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.topology import GROUPS

_MAX_IN_FLIGHT = 64
_NO_PRICE = (Code.PRODUCT_SERVICE, Code.UNKNOWN_PRODUCT, Code.TOTAL_TOO_LARGE)


@dataclass(frozen=True)
class QueryOptions:
    """How the running shop is queried.

    Attributes:
        limit: of queries to each aggregate; 0 sends none.
        seed: chooses the rows that are queried.
        timeout: of each reply.
    """

    limit: int = 200
    seed: int = 0
    timeout: timedelta = timedelta(seconds=20)


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


def query_for(topic: Topic, key: str) -> Contract:
    """Return the query whose reply shows a row."""
    if topic is CART_REQUESTS:
        return ListCart(user=int(key))
    if topic is ORDER_REQUESTS:
        return ListOrder(order_id=int(key))
    return ListStocks(sku=int(key))


def sample(topic: Topic, keys: Iterable[str], limit: int, seed: int) -> list[Query]:
    """Return queries of some of a table's rows, chosen at random."""
    numbers = sorted(key for key in keys if key.removeprefix("-").isdecimal())
    chosen = random.Random(seed).sample(numbers, min(limit, len(numbers)))
    return [Query(topic, query_for(topic, key)) for key in chosen]


class QueryCheck:
    """Compares replies with those of the rules.

    Args:
        queries: that have replies.

    Attributes:
        unpriced: the number of carts that ProductService had no prices for.
    """

    def __init__(self, queries: Iterable[Query]) -> None:
        self._queries = {query.at: query for query in queries}
        self._pending: dict[tuple[str, str], list[tuple[Query, ReplayedRecord]]] = {}
        self.unpriced = 0

    def take(self, replayed: ReplayedRecord) -> None:
        """Check the reply to a record, or an unmatched reply against its new state."""
        query = self._queries.pop(RecordLocation.of(replayed.record), None)
        if not replayed.keys:
            return
        if query is not None:
            self._judge(query, replayed)
        elif replayed.changed and self._pending:
            self._judge_again(replayed)

    def wrong(self) -> Mapping[Query, OutgoingMessage]:
        """Return the queries with wrong replies, and the replies of the rules."""
        pending = (pair for pairs in self._pending.values() for pair in pairs)
        return {query: replayed.messages[0] for query, replayed in pending}

    def _judge(self, query: Query, replayed: ReplayedRecord) -> None:
        (expected,) = replayed.messages
        if matches(expected, query.reply):
            refused = isinstance(query.reply, Refused)
            self.unpriced += refused and isinstance(expected, PriceCart)
        else:
            row = replayed.record.topic, replayed.keys[0]
            self._pending.setdefault(row, []).append((query, replayed))

    def _judge_again(self, replayed: ReplayedRecord) -> None:
        row = replayed.record.topic, replayed.keys[0]
        still = [
            (query, at_query)
            for query, at_query in self._pending.pop(row, ())
            if not _matches_later(query, at_query, replayed)
        ]
        if still:
            self._pending[row] = still


def _matches_later(query: Query, at_query: ReplayedRecord, later: ReplayedRecord) -> bool:
    """Return whether a reply is correct for a later state."""
    if at_query.envelope is None:
        return False
    aggregate, cause = AGGREGATES[query.topic], at_query.envelope.cause
    _, (expected,) = aggregate.step(later.after, query.request, cause)
    return matches(expected, query.reply)


def matches(expected: OutgoingMessage, reply: Contract | None) -> bool:
    """Return whether a reply is that of the rules.

    Names and prices are ProductService's, which may also have none.
    """
    if not isinstance(expected, PriceCart):
        return bool(reply == expected)
    if isinstance(reply, Refused):
        return reply.code in _NO_PRICE
    lines = {item.sku: item.count for item in expected.items}
    return isinstance(reply, CartView) and lines == {
        item.sku: item.count for item in reply.items
    }


class LiveQueries:
    """The queries to a running shop.

    Args:
        reader: of the shop's topics.
        options: how many queries, and the timeout of replies.
        report: receives missing and wrong replies.
    """

    def __init__(self, reader: TopicReader, options: QueryOptions, report: Report) -> None:
        self._reader = reader
        self._options = options
        self._report = report
        self._queries: list[Query] = []

    @property
    def answered(self) -> Iterator[Query]:
        """The queries that have a reply."""
        return (query for query in self._queries if query.reply is not None)

    async def send(
        self, cluster: KafkaSettings, snapshots: Snapshots, begins: OffsetRanges
    ) -> None:
        """Query rows whose logs are whole, of services that run."""
        for topic, aggregate in AGGREGATES.items():
            if idle := await self._idle_group(topic):
                self._report.notes.append(f"{idle} does not run: no query of {topic.name}")
                continue
            keys = (
                key.decode(errors="replace")
                for (changelog, number), snapshot in snapshots.items()
                if changelog is aggregate.changelog and not begins[topic.name, number].begin
                for key in snapshot.rows
            )
            limit, seed = self._options.limit, self._options.seed
            self._queries += sample(topic, keys, limit, seed)
        capacity = asyncio.Semaphore(_MAX_IN_FLIGHT)
        client = RequestReplyClient(cluster, replies=None, idempotent=True)
        async with client:
            await asyncio.gather(
                *(self._send(query, client, capacity) for query in self._queries)
            )

    async def check(self, replies: QueryCheck) -> None:
        """Report wrong and missing replies."""
        for query, expected in replies.wrong().items():
            reply = query.reply.to_json().decode() if query.reply else ""
            self._report.differences.append(
                f"{query}: replied {reply}, but the log gives {expected}"
            )
        self._report.counts["questions"] = len(self._queries)
        self._report.counts["unpriced"] = replies.unpriced
        if unanswered := [query for query in self._queries if query.reply is None]:
            await self._check_unanswered(unanswered)

    async def _send(
        self, query: Query, client: RequestReplyClient, capacity: asyncio.Semaphore
    ) -> None:
        key, value = query.topic.key_of(query.request), query.request.to_json()
        record = ProducerRecord(query.topic.name, key, value, [])
        async with capacity, client.request(record) as (sent, pending):
            query.at = RecordLocation.of(sent)
            with suppress(TimeoutError, ValidationError):
                async with asyncio.timeout(self._options.timeout.total_seconds()):
                    query.reply = CART_REPLIES.decode(await pending.reply)

    async def _check_unanswered(self, queries: list[Query]) -> None:
        committed = await self._reader.committed(GROUPS)
        idle = {topic: await self._idle_group(topic) for topic in AGGREGATES}
        for query in queries:
            if query.at is None:
                continue
            text = f"{query}: no reply within {self._options.timeout}"
            tp = TopicPartition(query.at.topic, query.at.partition)
            if committed.get(tp, 0) > query.at.offset:
                self._report.differences.append(f"{text}, and committed")
            elif idle[query.topic]:
                self._report.notes.append(f"{text}: {idle[query.topic]} does not run")
            else:
                self._report.differences.append(text)

    async def _idle_group(self, topic: Topic) -> str:
        """Return the name of a group without members that replies need, or ""."""
        groups = [GROUPS[topic]]
        if topic is CART_REQUESTS:
            groups.append(GROUPS[PRODUCT_REQUESTS])
        for group in groups:
            if not await self._reader.has_members(group):
                return group
        return ""
