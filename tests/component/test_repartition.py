"""A repartition that is interrupted again and again, on a broker of its own."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import MessageSizeTooLargeError

from agents.ops.repartition.cluster import TopicAdmin
from agents.ops.repartition.plan import Plan, PlanStore
from agents.ops.repartition.repartition import MOVED, Repartition
from schemas.stock import ReceiveStock
from tests.component.grown import ORDERS, READER, SKUS, STOCK_DLQ, Grown
from tests.standins.broker import EmbeddedKafka
from topics.admin import TopicsError, check
from topics.catalog import (
    ORDER_EVENTS,
    SENT_CHANGELOG,
    SHOP_LAYOUT,
    STOCK_CHANGELOG,
    STOCK_REPLIES,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.cli import CommandError
from topics.kafka.location import RecordLocation, identity, partition_of
from topics.kafka.reader import OffsetRange, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.layout import Layout, MovedLog, layout_of, require_finished

OLD, NEW = 2, 3
_START_SECONDS = 90.0
FOREIGN = ReceiveStock(sku=SKUS[0], warehouse_id=9, count=9)
LATE = ReceiveStock(sku=SKUS[0], warehouse_id=8, count=8)


class CrashError(Exception):
    """The tool is killed."""


@pytest.fixture
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """Topics with a past, on a broker of their own."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    try:
        broker.start_and_wait()
        yield Grown(KafkaSettings(kafka=broker.bootstrap, partitions=OLD))
    finally:
        broker.stop()


class Crashes:
    """Ends the tool before or after a step, and while it copies.

    Attributes:
        late: the requests that a client wrote into topics until they refused them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, grown: Grown) -> None:
        self.left = self.late = 0
        self._grown = grown
        for owner, names in (
            (TopicAdmin, ("create", "delete", "configure", "delete_records")),
            (PlanStore, ("save", "finish")),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, step: Any) -> Any:
        async def crashing(owner: Any, *arguments: Any) -> None:
            self._count()
            if step.__name__ == "configure" and arguments[0] == STOCK_REQUESTS.name:
                with suppress(MessageSizeTooLargeError):
                    await self._write(LATE)
                    self.late += 1
            await step(owner, *arguments)
            if step.__name__ == "create" and arguments[:2] == (STOCK_REQUESTS.name, NEW):
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
            if (await _layout(grown)).plan is not None:
                with pytest.raises(TopicsError, match="unfinished"):
                    await require_finished(grown.cluster)
        else:
            finished = True
            break
    assert finished

    layout = await _layout(grown)
    assert (layout.generation, layout.plan) == (1, None)
    moved = layout.moved[0][STOCK_REQUESTS.name]
    assert moved.old == [(0, processed[number]) for number in range(OLD)]
    committed = await grown.committed("loms", STOCK_REQUESTS)
    assert moved.new == [(0, committed[number]) for number in range(NEW)]
    grown.cluster = KafkaSettings(kafka=grown.cluster.kafka, partitions=NEW)
    assert await check(grown.cluster) == []
    await _require_requests(grown, before[STOCK_REQUESTS.name], crashes.late)
    await _require_rows(grown)
    await _require_events(grown, before[ORDER_EVENTS.name])
    dead = await grown.records(STOCK_DLQ)
    assert [r.value for r in dead[partition_of(b"7", NEW)]] == [b"dead"]
    assert not any((await grown.records(STOCK_REPLIES)).values())
    async with TopicReader(grown.cluster) as reader:
        assert [n for n in await reader.names() if n.endswith(".repartitioned")] == []


async def _layout(grown: Grown):
    async with TopicReader(grown.cluster) as reader:
        return await layout_of(reader)


async def _require_requests(grown: Grown, before: dict, written_late: int) -> None:
    layout, committed = await _layout(grown), await grown.committed("loms", STOCK_REQUESTS)
    known = {
        identity(RecordLocation(STOCK_REQUESTS.name, *at), 0): record
        for at, record in before.items()
    }
    origins, foreign, late = [], [], 0
    for number, records in (await grown.records(STOCK_REQUESTS)).items():
        counts: dict[bytes, list[int]] = {}
        for record in records:
            if layout.ignores(record):
                foreign.append(record)
                continue
            origin = dict(record.headers).get("origin", b"").decode()
            if record.value in (FOREIGN.to_json(), LATE.to_json()):
                assert record.offset >= committed[number]
                late += record.value == LATE.to_json()
                continue
            key, value, timestamp, headers = known[origin]
            assert (record.key, record.value, record.timestamp) == (key, value, timestamp)
            moved = ("origin", origin.encode()), ("moved", b"1")
            assert [*record.headers] == [*headers, *moved]
            origins.append(origin)
            is_waiting = value in grown.waiting or value == b"invalid"
            assert (record.offset >= committed[number]) >= is_waiting
            if value != b"invalid":
                request = orjson.loads(value)
                assert partition_of(b"%d" % request["sku"], NEW) == number
                counts.setdefault(key, []).append(request["count"])
        assert all(each == [1, 3, 4] for each in counts.values())
    dropped = (b"no JSON", ReceiveStock(sku=SKUS[0], warehouse_id=1, count=2).to_json())
    expected = [origin for origin, record in known.items() if record[1] not in dropped]
    assert sorted(origins) == sorted(expected)
    # Of what clients wrote among the past, a copy is behind it, under its first location.
    copies = {
        dict(record.headers).get("origin")
        for records in (await grown.records(STOCK_REQUESTS)).values()
        for record in records
        if record.value == FOREIGN.to_json()
    }
    assert late == written_late > 0
    assert foreign
    for record in foreign:
        assert record.value == FOREIGN.to_json()
        assert identity(record, 1).encode() in copies


async def _require_rows(grown: Grown) -> None:
    records = await grown.records(STOCK_REQUESTS)
    layout = await _layout(grown)
    for number, rows in (await grown.records(STOCK_CHANGELOG)).items():
        past = [r for r in records[number] if not layout.ignores(r)]
        included = [r.offset + 1 for r in past if b'"count":3}' in (r.value or b"")]
        for row in rows:
            assert dict(row.headers) == {"version": b"1/%d" % max(included, default=0)}
            if row.value is not None:
                assert partition_of(row.key.split(b"/")[0], NEW) == number
    keys = sorted(
        row.key
        for rows in (await grown.records(STOCK_CHANGELOG)).values()
        for row in rows
        if row.value is not None
    )
    assert keys == sorted(key for s in SKUS for key in (b"%d" % s, b"%d/99" % s))


async def _require_events(grown: Grown, before: dict) -> None:
    events = await grown.records(ORDER_EVENTS)
    times = {record.timestamp for records in events.values() for record in records}
    assert times == {record[2] for record in before.values()}
    unread = await grown.committed(READER, ORDER_EVENTS)
    locations = {}
    for number, records in events.items():
        for record in records:
            event = ORDER_EVENTS.decode(record.value)
            locations[number, record.offset] = event
            if event.event_id in grown.unread:
                assert record.offset >= unread[number]
    pending = 0
    for number, rows in (await grown.records(SENT_CHANGELOG)).items():
        for row in rows:
            if row.value and b"/" in row.key:
                transport, offset, order = row.key.decode().split("/")
                event = locations[number, int(offset)]
                assert (transport, int(order)) == ("mail", event.order_id)
                stored = orjson.loads(orjson.loads(row.value)["value"])
                assert stored["status"] == event.status
                pending += 1
    assert pending == 2 * len(ORDERS)


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
    admin = AIOKafkaAdminClient(**grown.cluster.client_options())
    await admin.start()
    ends = await grown.ends(ORDER_EVENTS)
    for topic in (ORDER_EVENTS, STOCK_REQUESTS):
        tps = [TopicPartition(topic.name, number) for number in range(OLD)]
        await admin.delete_records({tp: RecordsToDelete(2) for tp in tps})
    await admin.close()

    for partitions in (NEW, OLD):
        committed = await grown.committed("loms", STOCK_REQUESTS)
        async with TopicReader(grown.cluster) as reader:
            counts = await reader.partitions([STOCK_REQUESTS])
            ranges = await reader.offset_ranges(counts)
        async with Repartition(grown.cluster, silent) as tool:
            await tool.run(partitions)
        layout = await _layout(grown)
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
    assert (await _layout(grown)).generation == 2


async def test_a_large_layout_replaces_its_plan(grown: Grown):
    """Both are written at once, or not at all."""
    parts = [OffsetRange(number, number + 1) for number in range(5000)]
    layout = Layout(1, moved={0: {STOCK_REQUESTS.name: MovedLog(parts, parts)}})
    async with TopicAdmin(grown.cluster) as admin:
        await admin.create(SHOP_LAYOUT.name, 1, 1, {})
    async with PlanStore(grown.cluster) as store:
        await store.save(Plan(1, 1, {}))
        await store.finish(layout)

    assert await _layout(grown) == layout


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
