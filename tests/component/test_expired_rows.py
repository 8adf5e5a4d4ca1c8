"""An expired row is absent for the rules, whether it is deleted or not."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.order import Status
from schemas.stock import ListStocks, ReceiveStock, Release, Reserve, Sell
from tests.component.notifier import StartNotifier, event_of
from tests.component.worker_harness import (
    TIME_MS,
    Serving,
    WorkerHarness,
    record,
)
from tests.standins.webhook_sink import WebhookSink

PUT_IN = ReceiveStock(sku=1, warehouse_id=1, count=5)

OPEN, CLOSED = Reserve(sku=1, order_id=8, count=1), Release(sku=1, order_id=7)

P = record(PUT_IN).partition


@pytest.fixture
async def stock(harness: WorkerHarness) -> Serving:
    """Stock with an open reservation, and two rows that expire: an entry and a receipt."""
    serving = await harness.serve(STOCK_AGGREGATE)
    await serving.read(PUT_IN, OPEN, CLOSED)
    await harness.all_arrives()
    return serving


async def test_an_expired_row_is_absent_whether_it_is_deleted_or_not(
    harness: WorkerHarness, stock: Serving
):
    key = [("idempotency-key", b"k")]
    for hours in (0, 23, 25):
        sent = record(PUT_IN, headers=key, timestamp=TIME_MS + hours * 3_600_000)
        await stock.read(sent)
    await stock.read(ListStocks(sku=1))
    await harness.all_arrives()
    assert b'"count":14' in harness.sent("stock.replies")[-1].value  # 5 + 5 + 5 - 1


async def test_a_new_row_has_nothing_of_an_expired_one(
    harness: WorkerHarness, stock: Serving
):
    old = stock.store.get(P, b"1/7")
    assert old
    newer = old[:-1] + b',"newer":1}'
    stock.store.put(P, {b"1/7": newer}, 3)
    await stock.read(record(Sell(sku=1, order_id=7), timestamp=TIME_MS))
    assert stock.store.get(P, b"1/7") == newer
    await stock.read(record(CLOSED, timestamp=TIME_MS + 2 * 86_400_000))
    assert b"newer" not in (stock.store.get(P, b"1/7") or b"newer")


async def test_a_receipt_knows_whether_its_record_was_forwarded(
    harness: WorkerHarness, stock: Serving
):
    forwarded = [("origin", b"stock.requests-9-5")]
    await stock.read(record(PUT_IN, headers=forwarded))
    await harness.all_arrives()
    for key, expected in (
        (f"1/stock.requests-{P}-0", b"false"),
        ("1/stock.requests-9-5", b"true"),
    ):
        assert b'"is_forwarded":' + expected in (stock.store.get(P, key.encode()) or b"")


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
async def test_an_event_whose_row_may_be_deleted_is_not_notified(
    start: StartNotifier, hook: WebhookSink, days: int, kept: bool
):
    at = datetime.now(UTC) - timedelta(days=days)
    notifier = await start(webhook_url=hook.url)
    old = event_of(1, Status.PAID).model_copy(update={"at": at})
    await notifier.read(old, event_of(2))
    await notifier.until(lambda: not notifier.pending and notifier.outcomes)
    assert notifier.outcomes.keys() == {"2:new"} | ({"1:paid"} if kept else set())
    assert len(hook.posted) == len(notifier.outcomes)
