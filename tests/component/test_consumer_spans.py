"""The span of a record: how long it lasts, and which messages carry it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.stock import ListStocks, ReceiveStock
from tests.component.worker_harness import Serving, WorkerHarness, header, record
from topics.telemetry import tracing

MINE = ("traceparent", b"mine")


class Recorder:
    """A tracer whose spans are numbered.

    Attributes:
        open: the spans that have begun and not ended, by number.
        parents: the trace headers of each one's parent.
    """

    def __init__(self) -> None:
        self.open: dict[bytes, str] = {}
        self.parents: list[tracing.Headers] = []

    @contextmanager
    def span(self, name, _kind, headers, _attributes) -> Iterator[tracing.Headers]:
        self.parents.append(headers)
        number = str(len(self.parents)).encode()
        self.open[number] = name
        yield [("traceparent", number)]
        del self.open[number]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(tracing, "_tracer", recorder)
    return recorder


@pytest.fixture
async def stock(recorder: Recorder, harness: WorkerHarness) -> Serving:
    return await harness.serve(STOCK_AGGREGATE)


async def test_a_span_lasts_until_all_that_its_record_caused_is_acknowledged(
    harness: WorkerHarness, stock: Serving, recorder: Recorder
):
    request = record(ReceiveStock(sku=1, warehouse_id=1, count=5), headers=[MINE])
    await stock.read(request, ListStocks(sku=1))
    assert list(recorder.open.values()) == ["process stock.requests"] * 2
    await harness.all_arrives()
    assert recorder.open == {}
    assert recorder.parents == [(MINE,), ()]


async def test_messages_caused_by_a_record_carry_its_span(
    harness: WorkerHarness, stock: Serving, recorder: Recorder
):
    await stock.read(ListStocks(sku=1), ListStocks(sku=1))
    await harness.all_arrives()
    traces = [header(reply, "traceparent") for reply in harness.sent("stock.replies")]
    assert traces == ["1", "2"]


async def test_the_second_span_of_a_redelivered_record_ends_too(
    harness: WorkerHarness, stock: Serving, recorder: Recorder
):
    batch = await stock.read(ReceiveStock(sku=1, warehouse_id=1, count=5))
    await harness.all_arrives()
    await stock.again(batch)
    assert len(recorder.open) == 1
    await harness.all_arrives()
    assert recorder.open == {}


async def test_without_tracing_the_callers_trace_is_propagated(harness: WorkerHarness):
    stock = await harness.serve(STOCK_AGGREGATE)
    await stock.read(record(ListStocks(sku=1), headers=[MINE]))
    await harness.all_arrives()
    (reply,) = harness.sent("stock.replies")
    assert header(reply, "traceparent") == "mine"
