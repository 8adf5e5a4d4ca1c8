"""Recovery from a changelog: where it begins, where it ends, and what it confirms."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.runtime import changelog
from agents.runtime.changelog import read_changelogs
from agents.runtime.rows import Progress, Row
from agents.runtime.state_store import StateStore
from topics.kafka.settings import KafkaSettings

TP = TopicPartition("stock-changelog", 0)


class _Consumer:
    """A consumer of one partition."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = [
            ConsumerRecord(
                *(TP.topic, TP.partition, offset, 0, 0, row.key, row.value, None, -1, -1),
                [(changelog.PROCESSED_OFFSET_HEADER, b"%d" % row.source_offset)],
            )
            for offset, row in enumerate(rows)
        ]
        self.sought: list[int] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def assign(self, _: object) -> None: ...

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {TP: len(self.rows)}

    def seek(self, _: object, offset: int) -> None:
        self.sought.append(offset)
        self._position = offset

    async def position(self, _: object) -> int:
        return self._position

    async def getmany(self, *_: object, **__: object) -> dict:
        begin, self._position = self._position, self._position + 1
        return {TP: self.rows[begin : begin + 1]}


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "store", "here")


async def read(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, *rows: Row
) -> tuple[int, int]:
    """Recover the partition; return from which offset, and how many records."""
    consumer = _Consumer(rows)
    monkeypatch.setattr(changelog, "AIOKafkaConsumer", lambda **_: consumer)
    count = await read_changelogs({TP.topic: store}, {0}, KafkaSettings())
    return consumer.sought[-1], count


async def test_recovery_begins_behind_the_stored_rows(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
):
    first, second = Row(b"a", b"1", 5), Row(b"b", b"1", 6)
    assert await read(store, monkeypatch, first) == (0, 1)
    before = time.time()
    assert await read(store, monkeypatch, first, second) == (1, 1)
    assert dict(store.rows(0)) == {b"a": b"1", b"b": b"1"}
    source_offset, end, at = store.offsets[0].stored
    assert (source_offset, end) == (6, 2)
    assert before <= at <= time.time()


async def test_a_rebalance_reads_a_partition_from_its_stored_rows(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
):
    """Rows of this worker were appended, but not acknowledged; then others followed."""
    store.load(0)
    store.put(0, {b"a": b"1"}, 5)
    store.offsets[0].changelog_offset = 1  # it was sent
    assert await read(store, monkeypatch, Row(b"a", b"1", 5), Row(b"b", b"1", 6)) == (0, 2)
    assert dict(store.rows(0)) == {b"a": b"1", b"b": b"1"}
    assert store.offsets[0].stored[:2] == (6, 2)


async def test_rows_beyond_the_end_of_their_changelog_are_dropped(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    store.store(0, [Row(b"a", b"1", 5)], Progress(5, 2, time.time()))
    assert await read(store, monkeypatch, Row(b"b", b"1", 3)) == (0, 1)
    assert dict(store.rows(0)) == {b"b": b"1"}
    assert store.offsets[0].stored[:2] == (3, 1)
    assert "reason=beyond-its-end" in caplog.text
