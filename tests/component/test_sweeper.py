"""Expired rows are deleted in small steps, and no row that a record may still find."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.loms.service import STOCK_AGGREGATE
from agents.runtime import layout, sweeper
from agents.runtime.changelog import recover
from agents.runtime.metrics import DROPPED
from agents.runtime.rows import Row
from agents.runtime.sweeper import MARGIN, Sweeper
from schemas.stock import CheckStock, ListStocks, ReceiveStock, Release, Reserve
from tests.component.notifier import NEVER, NOON, StartNotifier, event_of
from tests.component.worker_harness import (
    TIME_MS,
    Serving,
    WorkerHarness,
    breathe,
    header,
    record,
)
from tests.standins.webhook_sink import WebhookSink
from topics.catalog import SENT_CHANGELOG, STOCK_CHANGELOG

TIME = datetime.fromtimestamp(TIME_MS / 1000, UTC)
EXPIRY = TIME + timedelta(days=1)
A_MOMENT = timedelta(milliseconds=1)
LOG = STOCK_CHANGELOG.name
PUT_IN = ReceiveStock(sku=1, warehouse_id=1, count=5)
OPEN, CLOSED = Reserve(sku=1, order_id=8, count=1), Release(sku=1, order_id=7)
P = record(PUT_IN).partition


@pytest.fixture(autouse=True)
def passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a pass at each step that finds none."""
    monkeypatch.setattr(sweeper, "PASS_SECONDS", 0)


@pytest.fixture
async def stock(harness: WorkerHarness) -> Serving:
    """Stock with an open reservation, and two rows that expire: an entry and a receipt."""
    serving = await harness.serve(STOCK_AGGREGATE)
    await serving.read(PUT_IN, OPEN, CLOSED)
    await harness.all_arrives()
    return serving


def sweep(harness: WorkerHarness, committed: datetime | None) -> Sweeper:
    """Take a step when records up to a time are committed."""
    [swept] = harness.service.sweepers.values()
    swept.clock = lambda _: committed
    swept.step()
    return swept


def keys(stock: Serving) -> set[bytes]:
    """Return the keys of the stored rows."""
    return {key for key, _ in stock.store.rows(P)}


def entries(stock: Serving) -> list[bytes]:
    """Return all entries of the index, current or not."""
    found = stock.store.database.scan(*layout.key_range(P, layout.INDEX, layout.MARKS))
    return [key[layout.ENTRY_BEGIN :] for key, _ in found]


ALL = {b"1", b"1/7", b"1/8", b"1/stock.requests-%d-0" % P}
KEPT = {b"1", b"1/8"}


@pytest.mark.parametrize(
    ("committed", "kept"),
    [
        (None, ALL),
        (EXPIRY, ALL),
        (EXPIRY + MARGIN - A_MOMENT, ALL),
        (EXPIRY + MARGIN, KEPT),
    ],
)
async def test_rows_are_deleted_an_hour_after_they_expired(
    harness: WorkerHarness, stock: Serving, committed: datetime | None, kept: set[bytes]
):
    assert keys(stock) == ALL
    sweep(harness, committed)
    await harness.all_arrives()
    assert keys(stock) == kept


async def test_a_deletion_is_a_tombstone_of_the_stored_rows_offset(
    harness: WorkerHarness, stock: Serving
):
    before = DROPPED.labels("stock")._value.get()  # noqa: SLF001
    sweep(harness, EXPIRY + MARGIN)
    assert stock.store.get(P, b"1/7") is None  # before it is acknowledged
    await harness.all_arrives()
    tombstones = harness.logs[LOG][-1]
    assert {each.key for each in tombstones} == ALL - KEPT
    assert {(each.value, header(each, "version")) for each in tombstones} == {(None, "3")}
    assert DROPPED.labels("stock")._value.get() == before + 2  # noqa: SLF001


async def test_index_entries_of_deleted_rows_go_with_the_next_pass(
    harness: WorkerHarness, stock: Serving
):
    assert len(entries(stock)) == 2
    sweep(harness, EXPIRY + MARGIN)
    await harness.all_arrives()
    sweep(harness, EXPIRY + MARGIN)
    assert entries(stock) == []
    assert not harness.lying[LOG]


async def test_a_row_that_is_being_written_is_left_alone(
    harness: WorkerHarness, stock: Serving
):
    late = TIME_MS + 2 * 86_400_000
    await stock.read(record(CLOSED, timestamp=late))  # its entry counts as absent
    sweep(harness, EXPIRY + MARGIN)
    await harness.all_arrives()
    assert keys(stock) == KEPT | {b"1/7"}
    sweep(harness, EXPIRY + MARGIN)
    assert keys(stock) == KEPT | {b"1/7"}
    assert len(entries(stock)) == 1  # of the new expiry
    sweep(harness, EXPIRY + 2 * timedelta(days=1) + MARGIN)
    await harness.all_arrives()
    assert keys(stock) == KEPT


async def test_a_deletion_does_not_pass_for_rows_in_front_of_it(
    harness: WorkerHarness, stock: Serving
):
    """Those of a batch whose commands are not acknowledged yet: a crash loses them."""
    await stock.read(
        CheckStock(sku=1, user=7, count=1), Reserve(sku=1, order_id=9, count=1)
    )
    sweep(harness, EXPIRY + MARGIN)
    await harness.arrive(LOG)
    assert {each.key for each in harness.logs[LOG][-1]} == ALL - KEPT
    stock.store.load(P)
    assert (
        stock.store.offsets[P].source_offset == 3
    )  # the fourth and fifth records come again
    assert keys(stock) == KEPT


async def test_a_zombies_write_of_a_deleted_row_does_not_count(
    harness: WorkerHarness, stock: Serving
):
    old = stock.store.row(P, b"1/7")
    sweep(harness, EXPIRY + MARGIN)
    await harness.all_arrives()
    zombie = Row(old.key, old.value, old.source_offset - 1)
    recover(stock.store, P, [zombie], stock.store.offsets[P].changelog_offset + 1)
    assert keys(stock) == KEPT
    assert stock.store.offsets[P].superseded == {b"1/7": Row(b"1/7", None, 3)}


async def test_a_revocation_waits_for_deletions_and_none_follows(
    harness: WorkerHarness, stock: Serving
):
    swept = sweep(harness, EXPIRY + MARGIN)
    stopping = harness.service.app.loop.create_task(harness.app.partitions_revoked())
    await breathe()
    assert not stopping.done()
    await harness.all_arrives()
    await stopping
    await stock.read(record(CLOSED, timestamp=TIME_MS))
    await harness.all_arrives()
    swept.step()
    assert not harness.lying[LOG]
    await harness.app.partitions_recovered(set())
    sweep(harness, EXPIRY + MARGIN)
    assert harness.lying[LOG] == 1


async def test_rows_of_another_owner_are_not_deleted_but_entries_of_deleted_ones_are(
    harness: WorkerHarness, stock: Serving
):
    stock.store.active.discard(P)
    offsets = stock.store.offsets[P]
    recover(stock.store, P, [Row(b"1/7", None, 3)], offsets.changelog_offset + 1)
    for committed, left in ((EXPIRY + MARGIN, 2), (EXPIRY + 2 * MARGIN, 1), (None, 1)):
        sweep(harness, committed)
        assert len(entries(stock)) == left
    await breathe()
    assert not harness.lying[LOG]
    assert keys(stock) == ALL - {b"1/7"}


async def test_a_step_is_bounded_and_the_next_one_goes_on(
    harness: WorkerHarness, stock: Serving, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweeper, "MAX_ENTRIES", 3)
    await stock.read(*(Release(sku=1, order_id=order) for order in range(20, 26)))
    await harness.all_arrives()
    left = []
    for _ in range(4):
        sweep(harness, EXPIRY + MARGIN)
        await harness.all_arrives()
        left.append(len(keys(stock) - KEPT))
    assert left == [5, 2, 0, 0]


async def test_a_pass_begins_every_minute(
    harness: WorkerHarness, stock: Serving, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweeper, "PASS_SECONDS", 60)
    sweep(harness, None)
    sweep(harness, EXPIRY + MARGIN)
    await harness.all_arrives()
    assert keys(stock) == ALL


async def test_a_deletion_moves_no_units(harness: WorkerHarness, stock: Serving):
    sweep(harness, EXPIRY + MARGIN)
    await harness.all_arrives()
    await stock.read(CLOSED, ListStocks(sku=1))
    await harness.all_arrives()
    assert b'"count":4' in harness.sent("stock.replies")[-1].value


async def test_notifications_are_deleted_when_kafka_deletes_their_events(
    harness: WorkerHarness,
    start: StartNotifier,
    hook: WebhookSink,
):
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    hook.failing.add(2)
    await notifier.read(event_of(1), event_of(2))
    await notifier.until(lambda: len(notifier.pending) == 1)
    for committed, kept in ((NOON, {"1:new", "2:new"}), (NOON + MARGIN, {"2:new"})):
        sweep(harness, committed)
        await notifier.until(lambda kept=kept: notifier.outcomes.keys() == kept)
    assert len(notifier.pending) == 1
    assert header(harness.sent(SENT_CHANGELOG.name)[-1], "version") == "2"
