"""Pending rows: in order within an order, oldest first, and few keys in memory."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator

import pytest

from agents.notifications.pending import (
    CHUNK,
    MAX_KEYS,
    PendingRows,
    order_of,
    pending_key,
)
from agents.runtime.rows import PartitionOffsets, Progress


class _Store:
    """A table's rows, and the pending rows of a transport over them.

    Attributes:
        reads: the number of reads.
    """

    def __init__(self, *orders: int) -> None:
        self.keys: list[bytes] = [pending_key("other", 0, 9), pending_key("smtq", 0, 9)]
        self.offsets = defaultdict(PartitionOffsets)
        self.reads = 0
        self.add(*orders)
        self.pending = PendingRows(self, "smtp", 0)
        self._orders = self.pending.new_orders()

    def add(self, *orders: int) -> None:
        for order in orders:
            offset = self.offsets[0].stored.source_offset
            self.keys.append(pending_key("smtp", offset, order))
            self.offsets[0].stored = Progress(offset + 1, 0, 0)

    def rows(self, _: int, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.reads += 1
        yield from ((key, b"{}") for key in sorted(self.keys) if begin <= key < end)

    def get(self, _: int, key: bytes) -> None:
        return None

    async def next(self) -> int | None:
        """Return the next new order; None: there is none."""
        step = asyncio.ensure_future(anext(self._orders))
        done, _ = await asyncio.wait([step], timeout=0.05)
        if done:
            return step.result()
        step.cancel()
        await asyncio.wait([step])
        self._orders: AsyncIterator[int] = self.pending.new_orders()
        return None

    def offsets_of(self, order: int) -> list[int]:
        """Return the offsets of an order's keys in memory."""
        return [int(key.split(b"/")[1]) for key in self.pending.orders.get(order, [])]


async def test_different_orders_come_oldest_first():
    store = _Store(5, 3, 4)
    assert [await store.next() for _ in range(4)] == [5, 3, 4, None]


async def test_events_of_one_order_come_one_after_the_other():
    store = _Store(1, 1, 2, 1)
    assert [await store.next() for _ in range(3)] == [1, 2, None]
    for offsets in ([0, 1, 3], [1, 3], [3]):
        assert store.offsets_of(1) == offsets
        assert store.pending.complete(1) == (offsets != [3])
    assert store.pending.orders.keys() == {2}


async def test_an_order_that_was_complete_comes_again():
    store = _Store(1)
    assert [await store.next() for _ in range(2)] == [1, None]
    assert not store.pending.complete(1)
    store.add(1)
    assert await store.next() == 1
    assert store.offsets_of(1) == [1]


async def test_rows_that_are_added_are_found_when_their_reader_is_woken():
    store = _Store(1)
    orders = store.pending.new_orders()
    assert await anext(orders) == 1
    waiting = asyncio.ensure_future(anext(orders))
    await asyncio.sleep(0)
    store.add(2)
    store.pending.added.set()
    assert await waiting == 2


async def test_no_more_is_read_than_what_is_delivered():
    store = _Store(*range(20_000))
    for _ in range(10):
        await store.next()
    assert store.reads == 1
    assert len(store.pending.orders) == 10


async def test_an_order_behind_many_events_of_another_is_found():
    store = _Store(*[1] * 2000, 2)
    assert [await store.next() for _ in range(2)] == [1, 2]
    assert store.offsets_of(1) == [*range(2000)]


async def test_memory_is_bounded_however_many_orders_fail():
    store = _Store(*range(MAX_KEYS + CHUNK))
    for _ in range(MAX_KEYS):
        await anext(store._orders)  # noqa: SLF001
    blocked = asyncio.ensure_future(anext(store._orders))  # noqa: SLF001
    await asyncio.sleep(0.05)
    assert not blocked.done()
    assert len(store.pending.orders) == MAX_KEYS
    store.pending.complete(0)
    assert await blocked == MAX_KEYS


async def test_rows_are_counted_once_though_more_are_added_meanwhile():
    store = _Store(*range(2 * CHUNK + 1))
    store.offsets[0].source_offset = 2 * CHUNK + 4  # of rows that were sent before
    counting = asyncio.create_task(store.pending.count_stored())
    await asyncio.sleep(0)
    store.add(1, 2, 3)
    store.pending.count += 3
    await counting
    assert store.pending.count == 2 * CHUNK + 4


async def test_without_a_row_there_is_no_age():
    assert _Store().pending.age() == 0


@pytest.mark.parametrize("order", [0, 9007199254740991, -5])
def test_keys_sort_as_the_log_and_name_the_order(order: int):
    keys = [pending_key("smtp", offset, order) for offset in (9, 10, 2**63 - 1)]
    assert keys == sorted(keys)
    assert {order_of(key) for key in keys} == {order}
