"""Pending deliveries: in order within an order, oldest first, and few in memory."""

import asyncio

import pytest

from agents.notifications.backoff import Backoff
from agents.notifications.pending import order_of, pending_key
from agents.notifications.pending_queue import CHUNK, MAX_KEYS, PendingQueue
from tests.unit.test_backoff import EXACT, _Clock


class _Rows:
    """A table's pending rows, and a queue over them.

    Attributes:
        reads: how often rows were read.
    """

    def __init__(self, *orders: int) -> None:
        self.keys: list[bytes] = []
        self.reads = 0
        self.clock = _Clock()
        self.add(*orders)
        self.queue = PendingQueue(0, self.read, order_of, EXACT, self.clock)

    def add(self, *orders: int) -> None:
        for order in orders:
            self.keys.append(pending_key("smtp", len(self.keys), order))

    def read(self, key: bytes, limit: int) -> list[bytes]:
        self.reads += 1
        behind = (each for each in self.keys if each > key)
        return [each for each, _ in zip(behind, range(limit), strict=False)]

    async def take(self) -> int | None:
        """Return the offset of what can be tried now; None: there is nothing."""
        try:
            async with asyncio.timeout(0.05):
                key = await self.queue.next()
        except TimeoutError:
            return None
        return int(key.split(b"/")[1])

    def key(self, offset: int) -> bytes:
        return self.keys[offset]


async def test_different_orders_come_side_by_side_oldest_first():
    rows = _Rows(5, 3, 4)
    assert [await rows.take() for _ in range(4)] == [0, 1, 2, None]


async def test_events_of_one_order_come_one_after_the_other():
    rows = _Rows(1, 1, 2, 1)
    assert [await rows.take() for _ in range(3)] == [0, 2, None]
    rows.queue.remove(rows.key(0))
    assert [await rows.take() for _ in range(2)] == [1, None]
    rows.queue.remove(rows.key(1))
    assert await rows.take() == 3


async def test_an_order_that_failed_comes_again_after_its_delay_and_others_before():
    rows = _Rows(1, 1, 2)
    assert await rows.take() == 0
    assert rows.queue.retry(rows.key(0)) == 0.5
    assert [await rows.take() for _ in range(2)] == [2, None]
    rows.clock.now += 0.5
    assert await rows.take() == 0
    assert rows.queue.retry(rows.key(0)) == 1
    rows.clock.now += 1
    assert await rows.take() == 0
    assert rows.queue.retry(rows.key(0), wait_seconds=300) == 300
    rows.clock.now += 299
    assert await rows.take() is None


async def test_an_order_that_was_delivered_begins_anew_with_short_delays():
    rows = _Rows(1, 1)
    await rows.take()
    rows.queue.retry(rows.key(0))
    rows.clock.now += 1
    await rows.take()
    rows.queue.remove(rows.key(0))
    assert await rows.take() == 1
    assert rows.queue.retry(rows.key(1)) == 0.5


async def test_rows_that_are_added_are_found_when_the_queue_is_woken():
    rows = _Rows(1)
    assert [await rows.take() for _ in range(2)] == [0, None]
    waiting = asyncio.create_task(rows.queue.next())
    await asyncio.sleep(0)
    rows.add(2)
    rows.queue.wake()
    assert await waiting == rows.key(1)


async def test_a_delay_that_is_over_wakes_the_queue():
    rows = _Rows(1)
    key = await rows.queue.next()
    queue = PendingQueue(0, rows.read, order_of, Backoff(first=0.01, maximum=0.01))
    assert await queue.next() == key
    queue.retry(key)
    async with asyncio.timeout(30):
        assert await queue.next() == key


async def test_no_more_is_read_than_what_is_tried():
    rows = _Rows(*range(20_000))
    for _ in range(10):
        await rows.take()
    assert (rows.reads, rows.queue.size) == (1, CHUNK)
    assert rows.queue.oldest == rows.key(0)


async def test_what_is_behind_many_events_of_a_failing_order_is_found():
    rows = _Rows(*[1] * 2000, 2)
    assert [await rows.take() for _ in range(2)] == [0, 2000]


async def test_memory_is_bounded_however_many_orders_fail():
    rows = _Rows(*range(20_000))
    for _ in range(MAX_KEYS + 10):
        offset = rows.queue._take()  # noqa: SLF001
        if offset is not None:
            rows.queue.retry(offset, wait_seconds=60)
    assert MAX_KEYS <= rows.queue.size < MAX_KEYS + CHUNK
    rows.clock.now += 61
    assert await rows.take() == 0
    rows.queue.remove(rows.key(0))
    assert await rows.take() == 1


@pytest.mark.parametrize("order", [0, 9007199254740991, -5])
def test_keys_sort_as_the_log_and_name_the_order(order: int):
    keys = [pending_key("smtp", offset, order) for offset in (9, 10, 2**63 - 1)]
    assert keys == sorted(keys)
    assert {order_of(key) for key in keys} == {order}
