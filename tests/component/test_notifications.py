"""Notifications: each transport at its own pace, each order on its own, nothing lost."""

import logging
import time

import pytest

from agents.notifications import delivery as metrics
from agents.notifications.backoff import FAILURE_THRESHOLD, Backoff
from schemas.order import Status
from tests.component.notifier import (
    NEVER,
    NOON,
    StartNotifier,
    event_of,
    mailed,
    posted,
    smtp,
)
from tests.e2e.waiting import until
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink
from tests.unit.test_backoff import NoJitter
from topics.telemetry.logging import RepeatFilter

NEW, AWAITING, PAID = Status.NEW, Status.AWAITING_PAYMENT, Status.PAID


async def test_an_event_that_comes_again_is_delivered_once(
    start: StartNotifier, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    notifier = await start(webhook_url=hook.url)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            await notifier.read(event_of(1, NEW), event_of(1, PAID))
            await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:new", "1:paid"]
    assert (
        caplog.text.count('event=notification id="1:new" order=1 user=7 status="new"') == 1
    )
    assert notifier.outcomes == {"1:new": "sent", "1:paid": "sent"}


async def test_a_transport_that_is_down_holds_up_no_other_and_catches_up(
    start: StartNotifier,
    mails: MailSink,
    hook: WebhookSink,
    caplog: pytest.LogCaptureFixture,
):
    hook.broken = 503
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    with caplog.at_level(logging.INFO):
        for status in (NEW, AWAITING, PAID):
            await notifier.read(*(event_of(order, status) for order in range(100)))
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
    start: StartNotifier, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    hook.gate.clear()
    hook.broken = 503
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(*(event_of(order) for order in range(500)))
    await hook.until(posts=128)
    hook.gate.set()
    await notifier.until(lambda: caplog.text.count("event=delivery-failed") >= 128)
    assert len(hook.posted) < 128 + FAILURE_THRESHOLD
    await notifier.agent.measure()
    up, pending = metrics.UP.labels("webhook"), metrics.PENDING.labels("webhook")
    assert (up._value.get(), pending._value.get()) == (0, 500)  # noqa: SLF001
    assert caplog.text.count("event=transport-down transport=webhook") == 1


async def test_failures_of_one_transport_do_not_suppress_the_lines_of_another(
    start: StartNotifier,
    mails: MailSink,
    hook: WebhookSink,
    caplog: pytest.LogCaptureFixture,
):
    hook.broken = 503
    mails.answers.append("451 4.3.0 later")
    notifier = await start(webhook_url=hook.url, smtp_url=smtp(mails), backoff=NEVER)
    lines = RepeatFilter(caplog.handler, later=lambda *_: None)
    caplog.handler.addFilter(lines)
    await notifier.read(event_of(1))
    await mails.until(tries=1)
    await hook.until(posts=1)
    await notifier.until(lambda: caplog.text.count("event=delivery-failed") == 2)
    caplog.handler.removeFilter(lines)


async def test_a_transport_that_is_down_is_seen_in_metrics_until_it_is_up(
    start: StartNotifier, hook: WebhookSink
):
    hook.broken = 503
    notifier = await start(webhook_url=hook.url)
    await notifier.read(event_of(1, NEW), event_of(2, NEW), event_of(1, PAID))
    await hook.until(posts=2)
    await notifier.agent.measure()
    pending = metrics.PENDING.labels("webhook")._value  # noqa: SLF001
    age = metrics.OLDEST_PENDING.labels("webhook")._value  # noqa: SLF001
    assert pending.get() == 3
    assert age.get() == pytest.approx(time.time() - NOON.timestamp(), abs=5)
    hook.broken = 0

    async def is_counted() -> bool:  # which comes after the rows are gone
        await notifier.agent.measure()
        return (pending.get(), age.get()) == (0, 0)

    await until(is_counted, "no pending row in the metrics")
    assert not notifier.pending
    assert metrics.UP.labels("webhook")._value.get() == 1  # noqa: SLF001


@pytest.mark.parametrize("refused", ["unknown", "greylisted"])
async def test_an_orders_bad_address_holds_up_no_other_order(
    start: StartNotifier, mails: MailSink, refused: str
):
    getattr(mails, refused).update(f"user-{user}@example.test" for user in range(50))
    notifier = await start(smtp_url=smtp(mails), backoff=NEVER)
    for orders in (range(50), range(50, 100)):
        for status in (NEW, PAID):
            await notifier.read(*(event_of(order, status, user=order) for order in orders))
        await notifier.until(lambda: mails.refused >= 50)
    await notifier.until(lambda: len(mails.mails) == 100)
    expected = {
        f"<order-{n}.{s}@example.test>" for n in range(50, 100) for s in (NEW, PAID)
    }
    assert set(mailed(mails)) == expected


async def test_events_that_a_webhook_fails_on_hold_up_no_other_order(
    start: StartNotifier, hook: WebhookSink
):
    hook.failing.update(range(5))
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(*(event_of(order) for order in range(100)))
    await notifier.until(lambda: len(notifier.pending) == 5)
    await notifier.read(event_of(100))
    await notifier.until(lambda: notifier.outcomes["100:new"] == "sent")
    assert len(hook.posted) == 101


async def test_an_address_that_is_good_again_gets_its_mails_in_order(
    start: StartNotifier, mails: MailSink
):
    mails.greylisted.add("user-7@example.test")
    notifier = await start(smtp_url=smtp(mails))
    await notifier.read(event_of(1, NEW), event_of(1, AWAITING), event_of(1, PAID))
    await notifier.until(lambda: mails.refused >= 3)
    mails.greylisted.clear()
    await notifier.until(lambda: not notifier.pending)
    assert mailed(mails) == [
        "<order-1.new@example.test>",
        "<order-1.awaiting-payment@example.test>",
        "<order-1.paid@example.test>",
    ]


async def test_delays_of_an_order_are_doubled_and_short_again_after_a_delivery(
    start: StartNotifier, hook: WebhookSink, caplog: pytest.LogCaptureFixture
):
    hook.answers.extend([503, 503, 503, 204, 503, (429, {"Retry-After": "1"})])
    notifier = await start(webhook_url=hook.url, backoff=Backoff(0.2, 5, NoJitter()))
    await notifier.read(event_of(1, NEW), event_of(1, PAID))
    await notifier.until(lambda: not notifier.pending)
    delays = [line.split("retry_in=")[1] for line in caplog.messages if "retry_in" in line]
    assert delays == ["0.2s", "0.4s", "0.8s", "0.2s", "1.0s"]
    assert posted(hook) == ["1:new"] * 4 + ["1:paid"] * 3


async def test_while_an_order_waits_for_its_next_attempt_others_are_delivered(
    start: StartNotifier, hook: WebhookSink
):
    hook.failing.add(1)
    notifier = await start(webhook_url=hook.url, backoff=NEVER)
    await notifier.read(event_of(1, NEW), event_of(1, PAID), event_of(2, NEW))
    await notifier.until(lambda: notifier.outcomes["2:new"] == "sent")
    await notifier.read(event_of(1, AWAITING), event_of(2, PAID))
    await notifier.until(lambda: notifier.outcomes["2:paid"] == "sent")
    assert posted(hook) == ["1:new", "2:new", "2:paid"]
