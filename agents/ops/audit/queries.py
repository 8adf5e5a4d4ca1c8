"""Questions to the running shop: each is a record in a log, and its answer follows from it.

So an answer is compared with what the rules say at the very offset of its question. After
a crash a question may be answered once more from a later state: that counts as well, if
there was such a state.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from aiokafka import TopicPartition

from agents.aggregate import OutgoingMessage
from agents.ops.audit.replay import AnyAggregate, ReplayedRecord
from schemas.cart import CartView, ListCart
from schemas.contract import Code, Contract, Refused
from schemas.order import ListOrder
from schemas.product import PriceCart
from schemas.stock import ListStocks
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS
from topics.topic import Topic

_NO_PRICE = (Code.PRODUCT_SERVICE, Code.UNKNOWN_PRODUCT, Code.TOTAL_TOO_LARGE)


@dataclass(eq=False)
class Query:
    """A question, where it stands in the log, and what was answered."""

    topic: Topic
    request: Contract
    correlation_id: bytes
    at: tuple[TopicPartition, int] | None = None
    answers: list[Contract] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        asked = self.request.to_json().decode()
        if self.at is None:
            return asked
        return f"{asked} at {self.at[0].topic}-{self.at[0].partition}@{self.at[1]}"


def query_for(topic: Topic, key: str) -> Contract:
    """Return the question about what a table's row says."""
    if topic is CART_REQUESTS:
        return ListCart(user=int(key))
    if topic is ORDER_REQUESTS:
        return ListOrder(order_id=int(key))
    return ListStocks(sku=int(key))


def sample(topic: Topic, keys: Iterable[str], most: int, seed: int) -> list[Query]:
    """Return questions about some of a table's owners."""
    owners = sorted(key for key in keys if key.removeprefix("-").isdecimal())
    chosen = random.Random(seed).sample(owners, min(most, len(owners)))
    return [
        Query(topic, query_for(topic, key), f"audit-{uuid4()}".encode()) for key in chosen
    ]


class QueryCheck:
    """Answers that were given, against what the rules say.

    Args:
        questions: that were asked and answered.
    """

    def __init__(self, questions: Iterable[Query]) -> None:
        self._asked = {question.at: question for question in questions}
        self._pending: dict[tuple[str, str], list[tuple[Query, ReplayedRecord]]] = {}
        self.unpriced = 0

    def take(self, replayed: ReplayedRecord, aggregate: AnyAggregate) -> None:
        """Look whether a record was a question, or made a doubtful answer right."""
        tp = TopicPartition(replayed.record.topic, replayed.record.partition)
        question = self._asked.pop((tp, replayed.record.offset), None)
        if question is not None:
            self._judge(question, replayed)
        elif replayed.changed and self._pending:
            self._reconsider(replayed, aggregate)

    def wrong(self) -> Mapping[Query, OutgoingMessage]:
        """Return the questions whose answers were wrong, and what had to be answered."""
        doubts = (doubt for doubts in self._pending.values() for doubt in doubts)
        return {question: replayed.messages[0] for question, replayed in doubts}

    def _judge(self, question: Query, replayed: ReplayedRecord) -> None:
        (expected,) = replayed.messages
        if any(matches(expected, answer) for answer in question.answers):
            refused = isinstance(question.answers[0], Refused)
            self.unpriced += refused and isinstance(expected, PriceCart)
        else:
            owner = replayed.record.topic, replayed.keys[0]
            self._pending.setdefault(owner, []).append((question, replayed))

    def _reconsider(self, replayed: ReplayedRecord, aggregate: AnyAggregate) -> None:
        owner = replayed.record.topic, replayed.keys[0]
        still = [
            (question, asked)
            for question, asked in self._pending.pop(owner, ())
            if not _holds(question, asked, replayed, aggregate)
        ]
        if still:
            self._pending[owner] = still


def _holds(
    question: Query, asked: ReplayedRecord, later: ReplayedRecord, aggregate: AnyAggregate
) -> bool:
    """Tell whether an answer is right as things stand later."""
    if asked.envelope is None:
        return False
    cause = asked.envelope.cause
    _, (expected,) = aggregate.step(later.after, question.request, cause)
    return any(matches(expected, answer) for answer in question.answers)


def matches(expected: OutgoingMessage, answer: Contract) -> bool:
    """Tell whether an answer says what the rules say.

    Names and prices are ProductService's, which may also have none.
    """
    if not isinstance(expected, PriceCart):
        return answer == expected
    if isinstance(answer, Refused):
        return answer.code in _NO_PRICE
    lines = {item.sku: item.count for item in expected.items}
    return isinstance(answer, CartView) and lines == {
        item.sku: item.count for item in answer.items
    }
