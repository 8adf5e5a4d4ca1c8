"""Records that are redelivered after a crash, when the rows include them already."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from agents.checkout.service import CART_AGGREGATE
from agents.runtime.collector import RecordCollector
from agents.runtime.in_flight import PartitionRecords
from agents.runtime.processor import AggregateAgent
from agents.runtime.state_store import StateStore
from schemas.cart import AddToCart, DeleteFromCart
from topics.catalog import CART_REQUESTS

ADD = AddToCart(user=1, sku=2, count=3).to_json()
DELETE = DeleteFromCart(user=1, sku=2, count=3).to_json()
SOURCE_OFFSET = 10


def record(offset: int, value: bytes) -> ConsumerRecord:
    name = CART_REQUESTS.name
    return ConsumerRecord(name, 0, offset, 0, 1, b"1", value, None, 1, len(value), ())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, "here")
    store.put(0, {}, SOURCE_OFFSET)
    store.active.add(0)
    yield store
    store.close()


def collected(store: StateStore, offset: int, value: bytes) -> RecordCollector:
    settings = SimpleNamespace(partitions=1)
    app = SimpleNamespace(
        batching_producer=None,
        client_replies=None,
        pause_monitor=None,
        settings=settings,
        generation=0,
    )
    table = SimpleNamespace(data=SimpleNamespace(rows=store))
    out = RecordCollector(CART_REQUESTS)
    batch = PartitionRecords(TP(CART_REQUESTS.name, 0), [record(offset, value)])
    AggregateAgent(app, CART_AGGREGATE, table)._process_partition(batch, out)  # noqa: SLF001 -- no broker here
    return out


@pytest.mark.parametrize("value", [ADD, b"invalid"])
def test_a_redelivered_record_sends_no_command(store: StateStore, value: bytes):
    assert len(collected(store, SOURCE_OFFSET, value).commands) == 1
    assert collected(store, SOURCE_OFFSET - 1, value).commands == []


def test_a_redelivered_record_is_answered_again(store: StateStore):
    assert len(collected(store, SOURCE_OFFSET - 1, DELETE).replies_and_events) == 1
