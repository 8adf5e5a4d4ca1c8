"""Pending rows of notifications: their owners, their memory, their changelog."""

import asyncio

from faust.types import TP

from agents.notifications.backoff import FAILURE_THRESHOLD
from agents.notifications.service import NotificationAgent
from agents.runtime.database import FORMAT_KEY
from agents.runtime.in_flight import PartitionRecords
from agents.settings import NotificationSettings
from schemas.order import Status
from tests.component.notifier import NEVER, Notifier, StartNotifier, event_of, posted
from tests.component.worker_harness import Event, Stream, WorkerHarness, record
from tests.standins.webhook_sink import WebhookSink
from topics.catalog import DEAD_LETTERS, ORDER_EVENTS, SENT_CHANGELOG

NEW, PAID = Status.NEW, Status.PAID
EVENTS = TP(ORDER_EVENTS.name, 0)
NOTIFICATIONS_DLQ = DEAD_LETTERS[ORDER_EVENTS]


async def test_rows_are_written_behind_the_dead_letters_of_all_records_before_them(
    harness: WorkerHarness,
):
    """So a repartition may drop an invalid event below the source offset of the rows."""
    agent = NotificationAgent(harness.service, NotificationSettings())
    harness.open(agent.sent_log.table)
    stream = Stream()
    harness.run(agent.run(stream))
    bad = record(b"no JSON", topic=ORDER_EVENTS.name, partition=0, offset=0)
    for each in (bad, record(event_of(2), partition=0, offset=1)):
        stream.queue.put_nowait(Event([PartitionRecords(EVENTS, [each])]))
    await harness.arrive(SENT_CHANGELOG.name)
    assert harness.lying == {NOTIFICATIONS_DLQ.name: 1}
    assert not harness.sent(SENT_CHANGELOG.name)
    await harness.all_arrives()
    assert len(harness.sent(NOTIFICATIONS_DLQ.name)) == 1
    assert len(harness.sent(SENT_CHANGELOG.name)) == 1


async def test_pending_rows_are_delivered_by_the_next_owner(
    harness: WorkerHarness, start: StartNotifier, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url)
    await notifier.read(event_of(1, NEW), event_of(1, PAID))
    await hook.until(posts=1)
    await notifier.agent.stop()
    hook.posted.clear()
    hook.broken = 0
    await notifier.agent.start(notifier.store.active)
    await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:new", "1:paid"]


async def test_partitions_that_stay_are_delivered_after_a_revocation(
    start: StartNotifier, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(event_of(1, NEW))
    await hook.until(posts=1)
    await notifier.agent.stop()
    [delivery] = notifier.agent._deliveries  # noqa: SLF001
    assert not delivery._partitions  # noqa: SLF001
    notifier.store.release(1)
    await notifier.agent.start(set())
    await notifier.until(lambda: delivery._partitions.keys() == {0})  # noqa: SLF001


async def test_attempts_in_flight_end_before_partitions_are_revoked(
    start: StartNotifier, hook: WebhookSink
):
    hook.gate.clear()
    notifier = await start(webhook_url=hook.url)
    await notifier.read(event_of(1, NEW), event_of(1, PAID))
    await hook.until(posts=1)
    stopping = asyncio.create_task(notifier.agent.stop())
    hook.gate.set()
    await stopping
    assert notifier.pending == ["webhook/0000000000000000001/1"]
    assert posted(hook) == ["1:new"]


async def test_an_attempt_that_hangs_is_cancelled_when_partitions_are_revoked(
    start: StartNotifier, hook: WebhookSink, deaths: list[str]
):
    hook.gate.clear()
    notifier = await start(webhook_url=hook.url)
    await notifier.read(event_of(1, NEW))
    await hook.until(posts=1)
    async with asyncio.timeout(5):
        await notifier.agent.stop()
    assert notifier.pending == ["webhook/0000000000000000000/1"]
    assert not deaths


async def test_of_many_pending_rows_few_are_in_memory(
    start: StartNotifier, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    for first in range(0, 20_000, 500):
        await notifier.read(*(event_of(order) for order in range(first, first + 500)))
    await notifier.until(lambda: len(hook.posted) >= FAILURE_THRESHOLD)
    [delivery] = notifier.agent._deliveries  # noqa: SLF001
    rows = delivery._partitions.values()  # noqa: SLF001
    assert sum(each.count for each in rows) == 20_000
    assert all(sum(map(len, each.orders.values())) <= 1024 for each in rows)


async def test_complete_deliveries_leave_nothing_behind_in_the_rows(
    start: StartNotifier, hook: WebhookSink
):
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    hook.failing.add(3)
    await notifier.read(*(event_of(order) for order in range(6)))
    await notifier.until(lambda: len(notifier.pending) == 1)
    for expected in (6, 3):
        assert _stored(notifier, b"webhook/") == expected
        await notifier.agent.purge()
        await notifier.agent.purge()
    assert notifier.pending == ["webhook/0000000000000000003/3"]
    assert len(notifier.outcomes) == 6


def _stored(notifier: Notifier, begin: bytes) -> int:
    """Count rows, and those that are no more and left their version behind."""
    keys = notifier.store.database.scan(b"", FORMAT_KEY)
    return sum(key[4:].startswith(begin) for key, _ in keys)


async def test_outcomes_of_the_same_moment_share_a_record_batch(
    harness: WorkerHarness, start: StartNotifier, hook: WebhookSink
):
    notifier = await start(webhook_url=hook.url)
    hook.gate.clear()
    await notifier.read(*(event_of(order) for order in range(50)))
    await hook.until(posts=50)
    before = len(harness.logs[SENT_CHANGELOG.name])
    hook.gate.set()
    await notifier.until(lambda: not notifier.pending)
    assert len(harness.logs[SENT_CHANGELOG.name]) - before < 25
