"""Standbys: rows of partitions that other workers own, kept warm from the changelogs."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from agents.runtime import changelog, standby
from agents.runtime.changelog import read_changelogs
from agents.runtime.rows import Progress, Row
from agents.runtime.standby import StandbyReader
from agents.runtime.state_store import StateStore
from tests.component.changelog_reader import ORDERS, STOCK, Broker, Reader, has, rows
from tests.e2e.waiting import until
from topics.kafka.settings import KafkaSettings

HOUR = 3600.0
SHORT_SECONDS = 0.1


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    there = Broker()
    for module in (changelog, standby):
        monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: Reader(there))
    return there


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "stock", "here")


@pytest.fixture
async def reader(
    broker: Broker, store: StateStore, deaths: list[str]
) -> AsyncIterator[StandbyReader]:
    there = StandbyReader({STOCK: store}, KafkaSettings(), lambda: None)
    yield there
    await there.stop()
    assert not deaths


async def test_partitions_are_followed_and_no_others(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    for partition in (0, 1, 2):
        broker.append(partition, *rows(3))
    await reader.follow({1})
    await has(store, 1, 3)
    broker.append(1, *rows(1, begin=3))
    await has(store, 1, 4)
    assert broker.assigned == [TopicPartition(STOCK, 1)]
    assert [*store.partitions()] == [1]


async def test_a_partition_that_is_followed_no_more_is_released(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    await reader.follow({0, 1})
    await until(lambda: broker.assigned, "it follows", 5)
    await reader.follow({1})
    await until(lambda: len(broker.assigned) == 1, "it follows the other", 5)
    assert [*store.offsets] == [1]
    assert reader.lag(0) is None


async def test_a_partition_that_was_promoted_keeps_what_is_not_acknowledged(
    reader: StandbyReader, store: StateStore
):
    await reader.follow({0, 1})
    await reader.stop()
    store.load(1)
    store.active.add(1)
    store.put(1, {b"a": b"1"}, 5)
    await reader.follow({0})
    assert store.active == {1}
    assert store.get(1, b"a") == b"1"


async def test_nothing_is_read_after_the_stop(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    await reader.follow({0})
    await until(lambda: broker.assigned, "it follows", 5)
    await reader.stop()
    broker.append(0, *rows(3))
    await asyncio.sleep(SHORT_SECONDS)
    assert not [*store.rows(0)]


async def test_a_lag_is_the_sum_over_all_tables(
    broker: Broker, store: StateStore, tmp_path: Path
):
    stores = {STOCK: store, ORDERS: StateStore(tmp_path / "orders", "here")}
    reader = StandbyReader(stores, KafkaSettings(), lambda: None)
    broker.append(0, *rows(3))
    broker.append(0, *rows(2), topic=ORDERS)
    broker.stalled = True
    assert reader.lag(0) is None
    await reader.follow({0})
    await until(lambda: reader.lag(0) == 5, "a lag", 5)
    broker.stalled = False
    await until(lambda: reader.lag(0) == 0, "no lag", 5)
    await reader.stop()


async def test_lags_of_stored_rows_are_measured_without_following_them(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    store.store(0, rows(1), Progress(1, 1, time.time()))
    store.offsets.clear()
    broker.append(0, *rows(4))
    await reader.measure([0])
    assert reader.lag(0) == 3
    assert not store.offsets
    assert len([*store.rows(0)]) == 1


async def test_a_standby_that_is_behind_is_logged(
    broker: Broker,
    reader: StandbyReader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(standby, "BEHIND_SECONDS", 2 * SHORT_SECONDS)
    broker.append(0, *rows(3))
    await reader.follow({0})
    await until(lambda: reader.lag(0) == 0, "no lag", 5)
    broker.stalled = True
    broker.append(0, *rows(2, begin=3))
    assert "event=standby-behind" not in caplog.text
    await until(lambda: "event=standby-behind" in caplog.text, "it is logged", 5)
    assert "topic=stock-changelog partition=0 records=2" in caplog.text


async def test_an_interrupted_standby_goes_on(
    broker: Broker,
    reader: StandbyReader,
    store: StateStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(standby, "RETRY_SECONDS", 0.0)
    broker.error = KafkaConnectionError()
    await reader.follow({0})
    await until(lambda: "event=standby-interrupted" in caplog.text, "an error", 5)
    broker.append(0, *rows(3))
    await has(store, 0, 3)


async def test_rows_of_a_standby_are_young_only_when_it_has_all_of_a_time(
    broker: Broker,
    reader: StandbyReader,
    store: StateStore,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(standby, "CONFIRM_SECONDS", 0.0)
    old = time.time() - HOUR
    store.store(0, rows(1), Progress(1, 1, old))
    broker.append(0, *rows(3))
    broker.stalled = True
    await reader.follow({0})
    await until(lambda: reader.lag(0) == 2, "a lag", 5)
    await asyncio.sleep(SHORT_SECONDS)
    assert store.offsets[0].stored.at == old
    broker.stalled = False
    await has(store, 0, 3)
    await until(lambda: store.offsets[0].stored.at > old + HOUR / 2, "young rows", 5)
    broker.stalled = True
    broker.append(0, *rows(1, begin=3))
    await asyncio.sleep(SHORT_SECONDS)
    before = store.offsets[0].stored.at
    await asyncio.sleep(SHORT_SECONDS)
    assert store.offsets[0].stored.at == before


async def test_rows_beyond_the_end_of_a_changelog_are_dropped(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    store.store(0, rows(5), Progress(5, 5, time.time()))
    await reader.follow({0})
    await until(lambda: not [*store.rows(0)], "they are dropped", 5)
    broker.append(0, Row(b"other", b"1", 1))
    await has(store, 0, 1)
    assert store.offsets[0].stored[:2] == (1, 1)


async def test_rows_that_are_too_old_are_read_again(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    store.store(0, [Row(b"old", b"1", 9)], Progress(9, 1, time.time() - 24 * HOUR))
    broker.append(0, *rows(3))
    await reader.follow({0})
    await has(store, 0, 3)
    assert broker.sought == {TopicPartition(STOCK, 0): 0}


async def test_a_zombies_write_that_a_standby_reads_is_marked(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    broker.append(0, Row(b"a", b"valid", 5), Row(b"a", b"zombie", 3), Row(b"b", b"1", 6))
    await reader.follow({0})
    await has(store, 0, 2)
    assert store.get(0, b"a") == b"valid"
    assert store.offsets[0].superseded == {b"a": Row(b"a", b"valid", 5)}


async def test_a_promoted_standby_reads_only_the_tail(
    broker: Broker, reader: StandbyReader, store: StateStore
):
    broker.append(0, *rows(100))
    await reader.follow({0})
    await has(store, 0, 100)
    await reader.stop()
    broker.append(0, *rows(3, begin=100))
    assert await read_changelogs({STOCK: store}, {0}, KafkaSettings()) == 3
    assert broker.sought == {TopicPartition(STOCK, 0): 100}
    assert len([*store.rows(0)]) == 103


async def test_progress_is_reported_after_each_poll(broker: Broker, store: StateStore):
    lags: list[int | None] = []
    reader = StandbyReader(
        {STOCK: store}, KafkaSettings(), lambda: lags.append(reader.lag(0))
    )
    broker.append(0, *rows(3))
    await reader.follow({0})
    await until(lambda: lags and lags[-1] == 0, "it is warm", 5)
    assert lags[0] == 3
    await reader.stop()


async def test_rows_that_a_changelog_loses_while_it_is_followed_are_dropped(
    broker: Broker,
    reader: StandbyReader,
    store: StateStore,
    caplog: pytest.LogCaptureFixture,
):
    broker.append(0, *rows(5))
    await reader.follow({0})
    await has(store, 0, 5)
    broker.rows[TopicPartition(STOCK, 0)] = [Row(b"other", b"1", 1)]
    await until(lambda: store.get(0, b"other"), "what the changelog has now", 5)
    assert [*store.rows(0)] == [(b"other", b"1")]
    assert "event=rows-discarded" in caplog.text
