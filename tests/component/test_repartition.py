"""A repartition that is interrupted again and again, on a broker of its own."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from agents.ops.repartition.groups import by_partition
from agents.ops.repartition.plan import Plan, PlanStore
from agents.ops.repartition.repartition import MOVED, Repartition
from schemas.stock import ReceiveStock
from tests.component.grown import STOCK_DLQ, Grown
from tests.component.repartitioned_logs import (
    FOREIGN,
    LATE,
    NEW,
    OLD,
    current_layout,
    require_events,
    require_requests,
    require_rows,
)
from tests.standins.broker import EmbeddedKafka
from topics.admin import TopicsError, check
from topics.catalog import (
    ORDER_EVENTS,
    SENT_CHANGELOG,
    SHOP_LAYOUT,
    STOCK_REPLIES,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.cli import CommandError
from topics.kafka.location import partition_of
from topics.kafka.reader import OffsetRange, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.layout import Layout, MovedLog, require_finished

_START_SECONDS = 90.0


class CrashError(Exception):
    """The tool is killed."""


@pytest.fixture
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """Topics with a past, on a broker of their own."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield Grown(KafkaSettings(kafka=broker.bootstrap, partitions=OLD))


class Crashes:
    """Ends the tool before or after a step, and while it copies.

    Attributes:
        late: the requests that a client wrote into topics until they refused them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, grown: Grown) -> None:
        self.left = self.late = 0
        self._grown = grown
        for owner, names in (
            (TopicAdmin, ("create_and_wait", "delete", "configure", "delete_records")),
            (PlanStore, ("save", "finish")),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, step: Any) -> Any:
        async def crashing(owner: Any, *arguments: Any) -> None:
            self._count()
            if step.__name__ == "configure" and STOCK_REQUESTS.name in arguments[0]:
                with suppress(MessageSizeTooLargeError):
                    await self._write(LATE)
                    self.late += 1
            await step(owner, *arguments)
            if step.__name__ == "create_and_wait" and arguments[:2] == (
                STOCK_REQUESTS.name,
                NEW,
            ):
                await self._write(FOREIGN)
            self._count()

        return crashing

    async def _write(self, request: ReceiveStock) -> None:
        """Write as a client does that writes all the time."""
        options = self._grown.cluster.client_options()
        async with AIOKafkaProducer(**options) as producer:
            key, value = STOCK_REQUESTS.key_of(request), request.to_json()
            await producer.send_and_wait(STOCK_REQUESTS.name, value, key)

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            raise CrashError

    @contextmanager
    def progress(self, _step: str, _records: int) -> Iterator[Any]:
        yield lambda _count: self._count()


@contextmanager
def silent(_step: str, _records: int) -> Iterator[Any]:
    yield lambda _count: None


async def test_a_repartition_goes_on_wherever_it_was_interrupted(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
):
    await grown.fill()
    before = await grown.everything(TOPICS)
    processed = await grown.committed("loms", STOCK_REQUESTS)
    crashes, finished = Crashes(monkeypatch, grown), False
    for limit in count(4, 4):
        crashes.left = limit
        try:
            async with Repartition(grown.cluster, crashes.progress) as tool:
                await tool.run(NEW)
        except CrashError:
            if (await current_layout(grown)).plan is not None:
                with pytest.raises(TopicsError, match="unfinished"):
                    await require_finished(grown.cluster)
        else:
            finished = True
            break
    assert finished

    layout = await current_layout(grown)
    assert (layout.generation, layout.plan) == (1, None)
    moved = layout.moved[0][STOCK_REQUESTS.name]
    assert moved.old == [(0, processed[number]) for number in range(OLD)]
    committed = await grown.committed("loms", STOCK_REQUESTS)
    assert moved.new == [(0, committed[number]) for number in range(NEW)]
    grown.cluster = KafkaSettings(kafka=grown.cluster.kafka, partitions=NEW)
    assert await check(grown.cluster) == []
    await require_requests(grown, before[STOCK_REQUESTS.name], crashes.late)
    await require_rows(grown)
    await require_events(grown, before[ORDER_EVENTS.name])
    dead = await grown.records(STOCK_DLQ)
    assert [r.value for r in dead[partition_of(b"7", NEW)]] == [b"dead"]
    assert not any((await grown.records(STOCK_REPLIES)).values())
    async with TopicReader(grown.cluster) as reader:
        assert [n for n in await reader.names() if n.endswith(".repartitioned")] == []


async def _require_no_starts(grown: Grown, directory: Path) -> None:
    """Neither a worker nor a gateway starts while the repartition is unfinished."""
    own = {"KAFKA": grown.cluster.kafka, "PARTITIONS": str(OLD), "GATEWAY_PORT": "0"}
    for words, code in (("gateway", 1), ("agents loms", 70)):
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words.split()),
            env={**os.environ, **own, "STATE_DIR": str(directory)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                out, _ = await started.communicate()
        finally:
            if started.returncode is None:
                started.kill()
        assert started.returncode == code
        assert b"a repartition is unfinished" in out


async def test_until_topics_are_replaced_it_can_be_undone(
    grown: Grown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    await grown.fill()
    before = await grown.everything(TOPICS)
    committed = await grown.committed("loms", STOCK_REQUESTS)
    crashes = Crashes(monkeypatch, grown)
    crashes.left = 60
    with pytest.raises(CrashError):
        async with Repartition(grown.cluster, crashes.progress) as tool:
            await tool.run(NEW)
    with pytest.raises(CommandError, match="unfinished"):
        async with Repartition(grown.cluster, silent) as tool:
            await tool.run(NEW + 1)
    await _require_no_starts(grown, tmp_path)

    async with Repartition(grown.cluster, silent) as tool:
        await tool.abort()

    assert await grown.everything(TOPICS) == before
    assert await grown.committed("loms", STOCK_REQUESTS) == committed
    assert await check(grown.cluster) == []
    async with TopicReader(grown.cluster) as reader:
        names = await reader.names()
    assert sorted(names) == sorted(topic.name for topic in TOPICS)
    assert SHOP_LAYOUT.name not in names


async def test_a_log_without_its_first_records_does_not_look_whole(grown: Grown):
    """And a notification whose event is gone is delivered before all others."""
    await grown.fill()
    ends = await grown.ends(ORDER_EVENTS)
    async with TopicAdmin(grown.cluster) as admin:
        for topic in (ORDER_EVENTS, STOCK_REQUESTS):
            await admin.delete_records(by_partition(topic.name, [2] * OLD))

    for partitions in (NEW, OLD):
        committed = await grown.committed("loms", STOCK_REQUESTS)
        async with TopicReader(grown.cluster) as reader:
            counts = await reader.partitions([STOCK_REQUESTS])
            ranges = await reader.offset_ranges(counts)
        async with Repartition(grown.cluster, silent) as tool:
            await tool.run(partitions)
        layout = await current_layout(grown)
        moved = layout.moved[layout.generation - 1][STOCK_REQUESTS.name]
        assert moved.old == [(ranges[tp].begin, committed[tp.partition]) for tp in ranges]

    assert sum((await grown.ends(ORDER_EVENTS)).values()) >= sum(ends.values())
    async with TopicReader(grown.cluster) as reader:
        ranges = await reader.offset_ranges({ORDER_EVENTS: OLD, STOCK_REQUESTS: OLD})
    assert all(part.begin > 0 for part in ranges.values())
    for number, rows in (await grown.records(SENT_CHANGELOG)).items():
        keys = [row.key for row in rows if row.value and b"/" in row.key]
        assert len(keys) == len(set(keys))
        offsets = [int(key.split(b"/")[1]) for key in keys]
        begin = ranges[ORDER_EVENTS.name, number].begin
        events = await grown.records(ORDER_EVENTS)
        there = {record.offset for record in events[number]}
        assert all(offset < begin or offset in there for offset in offsets)
    assert (await current_layout(grown)).generation == 2


async def test_a_large_layout_replaces_its_plan(grown: Grown):
    """Both are written at once, or not at all."""
    parts = [OffsetRange(number, number + 1) for number in range(5000)]
    layout = Layout(1, moved={0: {STOCK_REQUESTS.name: MovedLog(parts, parts)}})
    async with TopicAdmin(grown.cluster) as admin:
        await admin.create_and_wait(SHOP_LAYOUT.name, 1, 1, {})
    async with PlanStore(grown.cluster) as store:
        await store.save(Plan(1, 1, {}))
        await store.finish(layout)

    assert await current_layout(grown) == layout


def test_rows_move_behind_their_sources():
    names = [topic.name for topic in MOVED]
    assert all(
        names.index(topic.source.name) < names.index(topic.name)
        for topic in MOVED
        if topic.source
    )


async def test_only_one_runs_at_a_time(grown: Grown):
    await grown.fill()
    async with Repartition(grown.cluster, silent):
        with pytest.raises(CommandError, match="another repartition runs"):
            async with Repartition(grown.cluster, silent):
                pass
