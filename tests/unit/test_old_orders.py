"""Old orders are found by a slow pass over the rows, and sent a deleteOrder."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.loms import retention
from agents.loms.order import Order, StatusChange
from agents.loms.payment_deadlines import payment_index
from agents.loms.retention import OrderRetention
from agents.loms.service import ORDER_AGGREGATE
from agents.runtime.state_store import StateStore
from schemas.order import DeleteOrder, Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = 30
OLD = NOON - timedelta(days=DAYS)
A_BIT = timedelta(microseconds=1)
P, OTHER = 0, 1


def order(
    number: int, status: Status = Status.PAID, at: datetime = OLD, answer: int | None = 1
) -> Order:
    """Return an order whose last status is the given one."""
    history = (StatusChange(Status.NEW, OLD - A_BIT, "a"), StatusChange(status, at, "b"))
    return Order(number, 7, "key:k", {1: 2}, history, {1: True}, answer, {"key:p": "x"})


def row_of(order: Order) -> bytes:
    return ORDER_AGGREGATE.serdes[0].serialize(order)


@dataclass
class Shop:
    """A store of orders, and their retention; all records are committed at first."""

    store: StateStore
    retention: OrderRetention = field(default_factory=lambda: OrderRetention(DAYS))
    committed: int = 100

    def put(
        self, number: int, row: bytes | None, offset: int = 1, partition: int = P
    ) -> None:
        """Store a row, as the changelog acknowledges it."""
        write = self.store.put(partition, {str(number).encode(): row}, offset)
        end = self.store.offsets[partition].stored.changelog_offset + 1
        self.store.commit(write, end, time.time())

    def step(self, now: datetime = NOON) -> list[int]:
        """Take a step; return the orders that are to be deleted."""
        found = self.retention.step(self.store, lambda _: self.committed, now)
        numbers = [each.order_id for each in found]
        assert found == [DeleteOrder(order_id=n, retention_days=DAYS) for n in numbers]
        return numbers

    def whole_pass(self, now: datetime = NOON) -> list[int]:
        """Take the steps of a pass over both partitions."""
        found = self.step(now)
        while self.retention._partitions:  # noqa: SLF001
            found += self.step(now)
        return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop in which a pass begins as soon as the last one is over."""
    monkeypatch.setattr(retention, "PASS_SECONDS", 0)
    store = StateStore(tmp_path / "orders", "here", payment_index)
    for partition in (P, OTHER):
        store.load(partition)
        store.active.add(partition)
    yield Shop(store)
    store.close()


@pytest.mark.parametrize("status", [Status.PAID, Status.FAILED, Status.CANCELLED])
def test_an_order_is_found_when_its_last_status_is_old_enough(shop: Shop, status: Status):
    shop.put(1, row_of(order(1, status)))
    assert shop.whole_pass(NOON - A_BIT) == []
    assert shop.whole_pass() == [1]


def test_a_young_order_is_not_parsed(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "_SERDE", None)
    shop.put(1, row_of(order(1, at=NOON - timedelta(days=1))))
    assert shop.whole_pass() == []


@pytest.mark.parametrize(
    "kept",
    [
        order(1, Status.NEW),
        order(1, Status.AWAITING_PAYMENT),
        order(1, Status.CANCELLED, answer=None),
    ],
    ids=["new", "awaiting payment", "waits for stock"],
)
def test_an_order_that_is_not_over_is_not_found(shop: Shop, kept: Order):
    shop.put(1, row_of(kept))
    assert shop.whole_pass() == []


def test_an_anonymized_order_is_found(shop: Shop):
    shop.put(1, row_of(replace(order(1), request_id="", processed={})))
    assert shop.whole_pass() == [1]


def test_rows_of_older_and_newer_releases_are_found(shop: Shop):
    older = row_of(order(1)).replace(b'"last_answer"', b'"closed_by"')
    for name, old in ((b"history", b"steps"), (b"origin", b"by"), (b"processed", b"done")):
        older = older.replace(b'"%s"' % name, b'"%s"' % old)
    shop.put(1, older)
    shop.put(2, row_of(order(2))[:-1] + b',"unknown":{"x":1}}')
    assert sorted(shop.whole_pass()) == [1, 2]


@pytest.mark.parametrize(
    "row", [b"{}", b'{"at":"x"}', b'{"at":"2020-01-01T00:00:00Z"}', b'{"at":"']
)
def test_an_invalid_row_is_left_alone(shop: Shop, row: bytes):
    shop.put(1, row)
    shop.put(2, row_of(order(2)))
    assert shop.whole_pass() == [2]


def test_an_order_is_found_once_all_records_that_changed_it_are_committed(shop: Shop):
    shop.put(1, row_of(order(1)), offset=9)
    shop.committed = 8
    assert shop.whole_pass() == []
    shop.committed = 9
    assert shop.whole_pass() == [1]


def test_an_order_is_found_again_in_the_next_pass_until_it_is_deleted(shop: Shop):
    shop.put(1, row_of(order(1)))
    assert [shop.whole_pass(), shop.whole_pass()] == [[1], [1]]
    shop.put(1, None)
    assert shop.whole_pass() == []


def test_a_step_reads_few_rows_and_the_next_one_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "MAX_ROWS", 3)
    for number in range(1, 8):
        shop.put(number, row_of(order(number)), partition=OTHER)
    shop.put(8, row_of(order(8)))
    shop.put(2, None, partition=OTHER)  # its mark is read like a row
    assert [shop.step() for _ in range(4)] == [[1, 3], [4, 5, 6], [7], [8]]


def test_a_pass_begins_once_an_hour_at_most(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "PASS_SECONDS", 3600)
    clock = 5000.0
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock)
    shop.put(1, row_of(order(1)))
    assert shop.whole_pass() == [1]
    clock += 3599
    assert shop.whole_pass() == []
    clock += 1
    assert shop.whole_pass() == [1]


def test_the_orders_of_a_revoked_partition_are_not_found(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "MAX_ROWS", 1)
    for partition, numbers in ((OTHER, (1, 3)), (P, (2, 4))):
        for number in numbers:
            shop.put(number, row_of(order(number)), partition=partition)
    assert shop.step() == [1]
    shop.store.release(OTHER)
    assert shop.whole_pass() == [2, 4]


def test_a_worker_without_partitions_finds_none(shop: Shop):
    for partition in (P, OTHER):
        shop.store.release(partition)
    assert shop.step() == []
