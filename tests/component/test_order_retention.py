"""A worker of LOMS that deletes old orders."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faust.types import TP

from agents.loms.order import Order, StatusChange
from agents.loms.service import ORDER_AGGREGATE, Loms
from agents.runtime.changelog import recover
from agents.runtime.metrics import DROPPED
from agents.runtime.rows import Row
from agents.worker.delivery import ServedPartition
from schemas.order import DeleteOrder, Status
from tests.component.worker_harness import PARTITIONS, WorkerHarness, settings
from topics.catalog import ORDER_REQUESTS

DAYS = 30
OLD = datetime.now(UTC) - timedelta(days=DAYS)
P = 0
OFFSET = 1


def paid(number: int, at: datetime) -> Order:
    history = (StatusChange(Status.NEW, at, "a"), StatusChange(Status.PAID, at, "b"))
    return Order(number, 7, "key", {1: 2}, history, {1: True}, 1)


@pytest.fixture
def loms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[str]) -> Loms:
    monkeypatch.setenv("ORDER_RETENTION_DAYS", str(DAYS))
    return Loms(settings(tmp_path))


@pytest.mark.parametrize(("committed", "found"), [(OFFSET - 1, []), (OFFSET, [1])])
async def test_an_old_order_whose_records_are_committed_is_sent_a_delete_order(
    loms: Loms, committed: int, found: list[int]
):
    harness = WorkerHarness(loms.service)
    store = harness.open(loms._orders._table)  # noqa: SLF001
    rows = [
        Row(b"%d" % order.order_id, ORDER_AGGREGATE.serdes[0].serialize(order), OFFSET)
        for order in (paid(1, OLD), paid(2, OLD + timedelta(hours=1)))
    ]
    recover(store, P, rows, len(rows))
    served = ServedPartition(committed, committed, committed)
    harness.app.consumer._served[TP(ORDER_REQUESTS.name, P)] = served  # noqa: SLF001
    for _ in range(PARTITIONS):
        await loms._delete_old()  # noqa: SLF001
    await harness.arrive()
    expected = [DeleteOrder(order_id=n, retention_days=DAYS).to_json() for n in found]
    assert [sent.value for sent in harness.sent(ORDER_REQUESTS.name)] == expected


async def test_deleted_orders_are_counted(loms: Loms):
    count = DROPPED.labels("orders")._value  # noqa: SLF001
    before = count.get()
    loms._on_change([("1", paid(1, OLD), None), ("2", None, paid(2, OLD))])  # noqa: SLF001
    assert count.get() == before + 1
