"""Notifications: each transport at its own pace, each order on its own, nothing lost."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agents.notifications import delivery as metrics
from agents.notifications.backoff import FAILURE_THRESHOLD, Backoff
from agents.runtime.deserializer import MAX_HEADERS, MAX_VALUE
from schemas.order import Status
from tests.component.bench import Bench, header
from tests.component.notifier import NOON, Notifier, fact
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink
from topics.catalog import SENT_CHANGELOG
from topics.telemetry.repeats import RepeatFilter

NEW, AWAITING, PAID = Status.NEW, Status.AWAITING_PAYMENT, Status.PAID

NEVER = Backoff(first=3600, maximum=3600)

Start = Callable[..., Awaitable[Notifier]]


@pytest.fixture
async def start(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start a notifier; all records are at their owner's."""
    monkeypatch.setattr("agents.runtime.router.partition_of", lambda *_: 0)
    started: list[Notifier] = []

    async def begin(**settings) -> Notifier:
        notifier = Notifier(bench, **settings)
        started.append(notifier)
        await notifier.start()
        return notifier

    yield begin
    for notifier in started:
        await notifier.agent.stop()


def smtp(mails: MailSink) -> str:
    return f"smtp://127.0.0.1:{mails.port}"


def posted(hook: WebhookSink) -> list[str]:
    return [post.headers["Idempotency-Key"] for post in hook.posted]


def mailed(mails: MailSink) -> list[str]:
    return [mail.message["Message-ID"] for mail in mails.mails]


async def test_an_event_that_comes_again_is_delivered_once(
    start: Start, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    notifier = await start(webhook_url=hook.url)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            await notifier.read(fact(1, NEW), fact(1, PAID))
            await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:new", "1:paid"]
    assert (
        caplog.text.count('event=notification id="1:new" order=1 user=7 status="new"') == 1
    )
    assert notifier.outcomes == {"1:new": "sent", "1:paid": "sent"}


async def test_an_event_is_one_row_where_no_transport_has_to_deliver_it(start: Start):
    notifier = await start()
    await notifier.read(fact(1, NEW), fact(1, NEW))
    row = {"at": "2026-11-23T12:00:00+00:00", "outcome": "sent"}
    assert notifier.rows == {"1:new": row}


async def test_a_transport_that_is_down_holds_up_no_other_and_catches_up(
    start: Start, mails: MailSink, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    hook.broken = 503
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    with caplog.at_level(logging.INFO):
        for status in (NEW, AWAITING, PAID):
            await notifier.read(*(fact(order, status) for order in range(100)))
    assert caplog.text.count('event=notification id="') == 300
    await mails.until(tries=300)
    assert len(set(mailed(mails))) == 300
    assert notifier.outcomes.keys() == {
        f"{order}:{status}" for order in range(100) for status in (NEW, AWAITING, PAID)
    }
    assert set(notifier.outcomes.values()) == {"pending"}
    failed = len(hook.posted)
    hook.broken = 0
    await notifier.until(lambda: not notifier.pending)
    delivered = posted(hook)[failed:]
    assert len(set(delivered)) == 300
    for order in range(100):
        of_it = [each for each in delivered if each.startswith(f"{order}:")]
        assert of_it == [f"{order}:new", f"{order}:awaiting payment", f"{order}:paid"]
    assert set(notifier.outcomes.values()) == {"sent"}
    assert len(mails.mails) == 300


async def test_a_transport_that_is_down_gets_few_attempts(
    start: Start, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    hook.gate.clear()
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(*(fact(order) for order in range(500)))
    await hook.until(posts=128)
    hook.gate.set()
    await notifier.until(lambda: caplog.text.count("event=delivery-failed") >= 128)
    assert len(hook.posted) < 128 + FAILURE_THRESHOLD
    await notifier.agent.measure()
    up, pending = metrics.UP.labels("webhook"), metrics.PENDING.labels("webhook")
    assert (up._value.get(), pending._value.get()) == (0, 500)  # noqa: SLF001
    assert caplog.text.count("event=transport-down transport=webhook") == 1


async def test_failures_of_one_transport_do_not_suppress_the_lines_of_another(
    start: Start, mails: MailSink, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    hook.broken = 503
    mails.answers.append("451 4.3.0 later")
    notifier = await start(webhook_url=hook.url, smtp_url=smtp(mails), backoff=NEVER)
    lines = RepeatFilter(caplog.handler, later=lambda *_: None)
    caplog.handler.addFilter(lines)
    await notifier.read(fact(1))
    await mails.until(tries=1)
    await hook.until(posts=1)
    await notifier.until(lambda: caplog.text.count("event=delivery-failed") == 2)
    caplog.handler.removeFilter(lines)


async def test_a_transport_that_is_away_is_seen_in_metrics_until_it_is_back(
    start: Start, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url)
    await notifier.read(fact(1, NEW), fact(2, NEW), fact(1, PAID))
    await hook.until(posts=2)
    await notifier.agent.measure()
    pending = metrics.PENDING.labels("webhook")._value  # noqa: SLF001
    age = metrics.OLDEST_PENDING.labels("webhook")._value  # noqa: SLF001
    assert pending.get() == 3
    assert age.get() == pytest.approx(time.time() - NOON.timestamp(), abs=5)
    hook.broken = 0
    await notifier.until(lambda: not notifier.pending)
    await notifier.agent.measure()
    assert (pending.get(), age.get()) == (0, 0)
    assert metrics.UP.labels("webhook")._value.get() == 1  # noqa: SLF001


@pytest.mark.parametrize("refused", ["unknown", "greylisted"])
async def test_an_orders_bad_address_holds_up_no_other_order(
    start: Start, mails: MailSink, refused: str
):
    getattr(mails, refused).update(f"user-{user}@example.test" for user in range(50))
    notifier = await start(smtp_url=smtp(mails), backoff=NEVER)
    for orders in (range(50), range(50, 100)):
        for status in (NEW, PAID):
            await notifier.read(*(fact(order, status, user=order) for order in orders))
        await notifier.until(lambda: mails.refused >= 50)
    await notifier.until(lambda: len(mails.mails) == 100)
    expected = {
        f"<order-{n}.{s}@example.test>" for n in range(50, 100) for s in (NEW, PAID)
    }
    assert set(mailed(mails)) == expected


async def test_events_that_a_webhook_fails_on_hold_up_no_other_order(
    start: Start, hook: WebhookSink
):
    hook.failing.update(range(5))
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(*(fact(order) for order in range(100)))
    await notifier.until(lambda: len(notifier.pending) == 5)
    await notifier.read(fact(100))
    await notifier.until(lambda: notifier.outcomes["100:new"] == "sent")
    assert len(hook.posted) == 101


async def test_an_address_that_is_good_again_gets_its_mails_in_order(
    start: Start, mails: MailSink
):
    mails.greylisted.add("user-7@example.test")
    notifier = await start(smtp_url=smtp(mails))
    await notifier.read(fact(1, NEW), fact(1, AWAITING), fact(1, PAID))
    await notifier.until(lambda: mails.refused >= 3)
    mails.greylisted.clear()
    await notifier.until(lambda: not notifier.pending)
    assert mailed(mails) == [
        "<order-1.new@example.test>",
        "<order-1.awaiting-payment@example.test>",
        "<order-1.paid@example.test>",
    ]


async def test_what_a_transport_refuses_is_its_own_dead_letter_and_not_tried_again(
    bench: Bench, start: Start, mails: MailSink, hook: WebhookSink
):
    hook.answers.append(410)
    mails.answers.append("554 no")
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    for _ in range(2):
        await notifier.read(fact(1, NEW))
        await notifier.until(lambda: not notifier.pending)
    assert (mails.tries, len(hook.posted)) == (1, 1)
    dead = bench.sent("notifications.dlq")
    assert {header(each, "dlq.reason") for each in dead} == {
        "smtp: 554 no",
        "webhook: HTTP 410",
    }
    assert [each.value for each in dead] == [fact(1, NEW).to_json()] * 2
    assert notifier.outcomes == {"1:new": "smtp: 554 no; webhook: HTTP 410"}


async def test_a_dead_letter_is_the_record_byte_for_byte(
    bench: Bench, start: Start, hook: WebhookSink
):
    hook.answers.append(410)
    notifier = await start(webhook_url=hook.url)
    value = b' {"type":"orderStatusChanged", "orderID":1,"user":-7,"status":"new",\n'
    value += b'"items":[{"sku":1,"count":2}],"at":"2026-11-23T12:00:00Z"} '
    await notifier.read_record(value, key=b"\xff\x00", headers=[("h\u00e9", b"\xfe\n")])
    await notifier.until(lambda: not notifier.pending)
    [dead] = bench.sent("notifications.dlq")
    assert (dead.key, dead.value) == (b"\xff\x00", value)
    assert dict(dead.headers)["h\u00e9"] == b"\xfe\n"
    assert header(dead, "dlq.offset") == "0"


async def test_events_that_are_larger_than_any_of_ours_are_delivered_too(
    bench: Bench, start: Start, mails: MailSink, hook: WebhookSink
):
    hook.answers.append(410)
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    value = fact(1, NEW).to_json()
    value = value[:1] + b"\n\t" * ((MAX_VALUE - len(value)) // 2) + value[1:]
    junk = [("event-id", b"1:new"), ("junk", b"\x01" * (MAX_HEADERS - 100))]
    await notifier.read_record(value, key=b"7", headers=junk)
    await notifier.read(fact(2, NEW))
    await notifier.until(lambda: not notifier.pending)
    assert (posted(hook), len(mails.mails)) == (["1:new", "2:new"], 2)
    [dead] = bench.sent("notifications.dlq")
    assert dead.value == fact(1, NEW).to_json()
    assert header(dead, "event-id") == "1:new"
    cut = "webhook: HTTP 410; cut, since it is too large to be kept whole"
    assert header(dead, "dlq.reason") == cut


async def test_who_opts_out_gets_nothing_more_and_the_log_says_why(
    start: Start, hook: WebhookSink, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    listed = tmp_path / "opt-out"
    listed.touch()
    notifier = await start(webhook_url=hook.url, notify_opt_out=listed)
    await notifier.read(fact(1, NEW))
    await notifier.until(lambda: not notifier.pending)
    listed.write_text("7\n")
    with caplog.at_level(logging.INFO):
        await notifier.read(fact(1, PAID))
    assert notifier.outcomes == {"1:new": "sent", "1:paid": "opted out"}
    assert posted(hook) == ["1:new"]
    assert 'order=1 user=7 status="paid" reason="opted out"' in caplog.text


async def test_who_opts_out_while_a_mail_waits_does_not_get_it(
    start: Start, mails: MailSink, tmp_path: Path
):
    listed = tmp_path / "opt-out"
    listed.write_text("# nobody yet\n")
    mails.greylisted.add("user-7@example.test")
    notifier = await start(smtp_url=smtp(mails), notify_opt_out=listed)
    await notifier.read(fact(1, NEW))
    await notifier.until(lambda: mails.refused >= 2)
    listed.write_text("7  # asked by phone\n")
    await notifier.until(lambda: notifier.outcomes == {"1:new": "opted out"})
    assert (mails.mails, notifier.pending) == ([], [])


async def test_what_is_pending_is_delivered_by_the_next_owner(
    bench: Bench, start: Start, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url)
    await notifier.read(fact(1, NEW), fact(1, PAID))
    await hook.until(posts=1)
    await notifier.agent.stop()
    hook.posted.clear()
    hook.broken = 0
    await notifier.agent.start()
    await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:new", "1:paid"]


async def test_partitions_that_go_while_rows_are_counted_are_not_delivered(
    start: Start, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(fact(1, NEW))
    await hook.until(posts=1)
    await notifier.agent.stop()
    counting = asyncio.create_task(notifier.agent.start())
    await asyncio.sleep(0)
    await notifier.agent.stop()
    await counting
    [delivery] = notifier.agent._deliveries  # noqa: SLF001
    assert not delivery._partitions  # noqa: SLF001
    notifier.store.drop_partition(1)
    await notifier.agent.start()
    await notifier.until(lambda: delivery._partitions.keys() == {0})  # noqa: SLF001


async def test_attempts_in_flight_end_before_partitions_are_given_back(
    start: Start, hook: WebhookSink
):
    hook.gate.clear()
    notifier = await start(webhook_url=hook.url)
    await notifier.read(fact(1, NEW), fact(1, PAID))
    await hook.until(posts=1)
    stopping = asyncio.create_task(notifier.agent.stop())
    hook.gate.set()
    await stopping
    assert notifier.pending == ["webhook/0000000000000000001/1"]
    assert posted(hook) == ["1:new"]


async def test_an_attempt_that_hangs_is_cancelled_when_partitions_go(
    start: Start, hook: WebhookSink, deaths: list[str]
):
    hook.gate.clear()
    notifier = await start(webhook_url=hook.url)
    await notifier.read(fact(1, NEW))
    await hook.until(posts=1)
    async with asyncio.timeout(5):
        await notifier.agent.stop()
    assert notifier.pending == ["webhook/0000000000000000000/1"]
    assert not deaths


async def test_of_many_pending_rows_few_are_in_memory(start: Start, hook: WebhookSink):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    for first in range(0, 20_000, 500):
        await notifier.read(*(fact(order) for order in range(first, first + 500)))
    await notifier.until(lambda: len(hook.posted) >= FAILURE_THRESHOLD)
    [delivery] = notifier.agent._deliveries  # noqa: SLF001
    rows = delivery._partitions.values()  # noqa: SLF001
    assert sum(each.count for each in rows) == 20_000
    assert all(sum(map(len, each.orders.values())) <= 1024 for each in rows)


async def test_what_was_delivered_leaves_nothing_behind_in_the_rows(
    start: Start, hook: WebhookSink
):
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    hook.failing.add(3)
    await notifier.read(*(fact(order) for order in range(6)))
    await notifier.until(lambda: len(notifier.pending) == 1)
    for expected in (6, 3):
        assert _stored(notifier, b"webhook/") == expected
        await notifier.agent.purge()
        await notifier.agent.purge()
    assert notifier.pending == ["webhook/0000000000000000003/3"]
    assert len(notifier.outcomes) == 6


def _stored(notifier: Notifier, begin: bytes) -> int:
    """Count rows, and those that are no more and left their version behind."""
    keys = notifier.store._db.keys()  # noqa: SLF001
    return sum(key[4:].startswith(begin) for key in keys)


async def test_outcomes_of_the_same_moment_share_a_record_batch(
    bench: Bench, start: Start, hook: WebhookSink
):
    notifier = await start(webhook_url=hook.url)
    hook.gate.clear()
    await notifier.read(*(fact(order) for order in range(50)))
    await hook.until(posts=50)
    before = len(bench.logs[SENT_CHANGELOG.name])
    hook.gate.set()
    await notifier.until(lambda: not notifier.pending)
    assert len(bench.logs[SENT_CHANGELOG.name]) - before < 25


async def test_a_row_of_an_older_version_means_that_all_was_delivered(
    start: Start, mails: MailSink, hook: WebhookSink
):
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    notifier.store.put(0, {b"1:new": b'{"at":"2026","outcome":"sent"}'}, 0)
    await notifier.read(fact(1, NEW), fact(1, PAID))
    await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:paid"]
    assert mailed(mails) == ["<order-1.paid@example.test>"]
