"""Outcomes of notifications: dead letters, opt-outs, and rows of events."""

import logging
from pathlib import Path

import pytest

from agents.runtime.deserializer import MAX_HEADERS, MAX_VALUE
from schemas.order import Status
from tests.component.notifier import NOON, StartNotifier, event_of, mailed, posted, smtp
from tests.component.worker_harness import WorkerHarness, header
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink
from topics.layout import Layout

NEW, PAID = Status.NEW, Status.PAID


async def test_a_refused_event_is_a_dead_letter_of_its_transport_and_not_retried(
    harness: WorkerHarness, start: StartNotifier, mails: MailSink, hook: WebhookSink
):
    hook.answers.append(410)
    mails.answers.append("554 no")
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    for _ in range(2):
        await notifier.read(event_of(1, NEW))
        await notifier.until(lambda: not notifier.pending)
    assert (mails.tries, len(hook.posted)) == (1, 1)
    dead = harness.sent("notifications.dlq")
    assert {header(each, "dlq.reason") for each in dead} == {
        "smtp: 554 no",
        "webhook: HTTP 410",
    }
    assert [each.value for each in dead] == [event_of(1, NEW).to_json()] * 2
    assert notifier.outcomes == {"1:new": "smtp: 554 no; webhook: HTTP 410"}


async def test_a_dead_letter_is_the_record_byte_for_byte(
    harness: WorkerHarness, start: StartNotifier, hook: WebhookSink
):
    hook.answers.append(410)
    harness.app.layout = Layout(generation=2)
    notifier = await start(webhook_url=hook.url)
    value = b' {"type":"orderStatusChanged", "orderID":1,"user":-7,"status":"new",\n'
    value += b'"items":[{"sku":1,"count":2}],"at":"%s"} ' % NOON.isoformat().encode()
    await notifier.read_record(value, key=b"\xff\x00", headers=[("h\u00e9", b"\xfe\n")])
    await notifier.until(lambda: not notifier.pending)
    [dead] = harness.sent("notifications.dlq")
    assert (dead.key, dead.value) == (b"\xff\x00", value)
    assert dict(dead.headers)["h\u00e9"] == b"\xfe\n"
    location = [header(dead, f"dlq.{name}") for name in ("offset", "generation")]
    assert location == ["0", "2"]


async def test_events_larger_than_any_of_loms_are_delivered(
    harness: WorkerHarness, start: StartNotifier, mails: MailSink, hook: WebhookSink
):
    hook.answers.append(410)
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    value = event_of(1, NEW).to_json()
    value = value[:1] + b"\n\t" * ((MAX_VALUE - len(value)) // 2) + value[1:]
    junk = [("event-id", b"1:new"), ("junk", b"\x01" * (MAX_HEADERS - 100))]
    await notifier.read_record(value, key=b"7", headers=junk)
    await notifier.read(event_of(2, NEW))
    await notifier.until(lambda: not notifier.pending)
    assert (posted(hook), len(mails.mails)) == (["1:new", "2:new"], 2)
    [dead] = harness.sent("notifications.dlq")
    assert dead.value == event_of(1, NEW).to_json()
    assert header(dead, "event-id") == "1:new"
    cut = "webhook: HTTP 410; cut, since it is too large to be kept whole"
    assert header(dead, "dlq.reason") == cut


async def test_a_user_who_opts_out_gets_nothing_more_and_the_log_has_the_reason(
    start: StartNotifier,
    hook: WebhookSink,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    listed = tmp_path / "opt-out"
    listed.touch()
    notifier = await start(webhook_url=hook.url, notify_opt_out=listed)
    await notifier.read(event_of(1, NEW))
    await notifier.until(lambda: not notifier.pending)
    listed.write_text("7\n")
    with caplog.at_level(logging.INFO):
        await notifier.read(event_of(1, PAID))
    assert notifier.outcomes == {"1:new": "sent", "1:paid": "opted out"}
    assert posted(hook) == ["1:new"]
    assert 'order=1 user=7 status="paid" reason="opted out"' in caplog.text


async def test_a_user_who_opts_out_while_a_mail_is_pending_does_not_get_it(
    start: StartNotifier, mails: MailSink, tmp_path: Path
):
    listed = tmp_path / "opt-out"
    listed.write_text("# empty\n")
    mails.greylisted.add("user-7@example.test")
    notifier = await start(smtp_url=smtp(mails), notify_opt_out=listed)
    await notifier.read(event_of(1, NEW))
    await notifier.until(lambda: mails.refused >= 2)
    listed.write_text("7  # requested by phone\n")
    await notifier.until(lambda: notifier.outcomes == {"1:new": "opted out"})
    assert (mails.mails, notifier.pending) == ([], [])


async def test_a_row_of_an_older_version_means_that_its_event_was_delivered(
    start: StartNotifier, mails: MailSink, hook: WebhookSink
):
    notifier = await start(smtp_url=smtp(mails), webhook_url=hook.url)
    notifier.store.put(0, {b"1:new": b'{"at":"2026","outcome":"sent"}'}, 0)
    await notifier.read(event_of(1, NEW), event_of(1, PAID))
    await notifier.until(lambda: not notifier.pending)
    assert posted(hook) == ["1:paid"]
    assert mailed(mails) == ["<order-1.paid@example.test>"]


async def test_an_event_is_one_row_where_no_transport_has_to_deliver_it(
    start: StartNotifier,
):
    notifier = await start()
    await notifier.read(event_of(1, NEW), event_of(1, NEW))
    row = {"at": NOON.isoformat(), "outcome": "sent"}
    assert notifier.rows == {"1:new": row}
