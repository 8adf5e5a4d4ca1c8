"""Queries each key at a steady rate, and measures the longest time without an answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from agents.ops.local.readiness import one_for_each
from tests.e2e.clients import NoAnswer, ShopClient
from tests.e2e.waiting import until
from topics.kafka.location import partition_of

EXPECTED_CODES = (None, "unknown-order")
_ANSWERED_SECONDS = 240.0

_QUERIES = (
    ("listCart", "user", "checkout"),
    ("listOrder", "orderID", "loms"),
    ("stocks", "sku", "loms"),
)


@dataclass(frozen=True)
class Key:
    """A key of a request topic, as one of the two interfaces queries it.

    Attributes:
        interface: the name of the client that sends the query.
        service: whose workers own the key.
        number: the key; the decimal text selects the partition.
    """

    interface: str
    call: str
    field: str
    service: str
    number: int

    def partition(self, partitions: int) -> int:
        """Return the partition of its requests."""
        return partition_of(b"%d" % self.number, partitions)


@dataclass(frozen=True)
class Gaps:
    """The longest seconds without an answer: the median and the maximum over some keys."""

    p50: float
    worst: float


class Prober:
    """Sends queries whether or not earlier ones are answered.

    Args:
        clients: by the name of the interface.
        partitions: of each request topic; each has one key.
        interval: seconds between two queries of a key by the same client.
    """

    def __init__(
        self, clients: Mapping[str, ShopClient], partitions: int, interval: float
    ) -> None:
        self._clients = clients
        self._interval = interval
        self.keys = [
            Key(interface, *query, number)
            for number in one_for_each(partitions)
            for query in _QUERIES
            for interface in clients
        ]
        self._answers: dict[Key, list[float]] = {key: [] for key in self.keys}
        self._answered_up_to = dict.fromkeys(self.keys, 0.0)
        self._open: set[tuple[Key, float]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send queries within this context; a wrong answer ends it."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(group))
            yield
            sending.cancel()  # and wait for the last answers

    async def all_answered(self) -> None:
        """Wait until each key has an answer to a query that was sent after this call."""
        now = time.monotonic()
        await until(
            lambda: min(self._answered_up_to.values()) > now,
            "each key is answered",
            _ANSWERED_SECONDS,
        )

    def unanswered(self, began: float, ended: float) -> int:
        """Return the number of queries of a period that still have no answer."""
        return sum(began < sent < ended for _, sent in self._open)

    def gaps(self, keys: Iterable[Key], began: float, ended: float) -> Gaps:
        """Return the longest times without an answer, by the clock of `time.monotonic`."""
        longest = [longest_gap(self._answers[key], began, ended) for key in keys]
        return Gaps(median(longest), max(longest))

    async def _send(self, group: asyncio.TaskGroup) -> None:
        due = time.monotonic()
        while True:
            # Queries that are sent together cost the shop a fraction of separate ones.
            for key in self.keys:
                group.create_task(self._query(key))
            due += self._interval
            await asyncio.sleep(due - time.monotonic())

    async def _query(self, key: Key) -> None:
        sent = time.monotonic()
        self._open.add((key, sent))
        try:
            body = {key.field: key.number}
            answer = await self._clients[key.interface].ask(key.call, body)
        except NoAnswer:
            return
        finally:
            self._open.remove((key, sent))
        assert answer.code in EXPECTED_CODES, f"{key}: {answer}"
        self._answers[key].append(time.monotonic())
        self._answered_up_to[key] = max(self._answered_up_to[key], sent)


def longest_gap(answers: Sequence[float], began: float, ended: float) -> float:
    """Return the longest time without an answer that was not over when a period began.

    The time from the last answer before the period counts, and so does that from the last
    answer within it to its end.

    Args:
        answers: their times, in order.
        began: the begin of the period.
        ended: its end.
    """
    last_before = max((at for at in answers if at <= began), default=began)
    within = (at for at in answers if began < at < ended)
    return max(later - at for at, later in pairwise((last_before, *within, ended)))
