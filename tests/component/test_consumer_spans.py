"""The span of a consumed record: its duration, and its children."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agents.loms.service import STOCK_AGGREGATE
from schemas.stock import ListStocks, ReceiveStock
from tests.component.bench import Bench, Serving, header, record
from topics.telemetry import tracing

MINE = ("traceparent", b"mine")


class Recorder:
    """A tracer whose headers have the number of each span.

    Attributes:
        open: the spans that have started and not ended, by number.
        parents: the headers with the parent of each.
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
async def goods(recorder: Recorder, bench: Bench) -> Serving:
    return await bench.serve(STOCK_AGGREGATE)


async def test_a_span_lasts_until_all_sent_records_are_acknowledged(
    bench: Bench, goods: Serving, recorder: Recorder
):
    request = record(ReceiveStock(sku=1, warehouse_id=1, count=5), headers=[MINE])
    await goods.read(request, ListStocks(sku=1))
    assert list(recorder.open.values()) == ["process stock.requests"] * 2
    await bench.all_arrives()
    assert recorder.open == {}
    assert recorder.parents == [(MINE,), ()]


async def test_records_that_follow_have_the_span_as_parent(
    bench: Bench, goods: Serving, recorder: Recorder
):
    await goods.read(ListStocks(sku=1), ListStocks(sku=1))
    await bench.all_arrives()
    parents = [header(reply, "traceparent") for reply in bench.sent("stock.replies")]
    assert parents == ["1", "2"]


async def test_a_redelivered_record_ends_its_second_span(
    bench: Bench, goods: Serving, recorder: Recorder
):
    batch = await goods.read(ReceiveStock(sku=1, warehouse_id=1, count=5))
    await bench.all_arrives()
    await goods.again(batch)
    assert len(recorder.open) == 1
    await bench.all_arrives()
    assert recorder.open == {}


async def test_without_a_tracer_the_trace_of_the_caller_is_propagated(bench: Bench):
    goods = await bench.serve(STOCK_AGGREGATE)
    await goods.read(record(ListStocks(sku=1), headers=[MINE]))
    await bench.all_arrives()
    (reply,) = bench.sent("stock.replies")
    assert header(reply, "traceparent") == "mine"
