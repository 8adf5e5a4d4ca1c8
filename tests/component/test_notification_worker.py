"""A notifications worker on a real broker: a dead webhook, kill -9, and a catch-up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from schemas.order import OrderStatusChanged, Status
from tests.component.notifier import event_of
from tests.e2e.waiting import until
from tests.standins.broker import free_port
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink
from topics.catalog import ORDER_EVENTS
from topics.kafka.settings import KafkaSettings

ORDERS = range(1, 401)
LIFE = (Status.NEW, Status.AWAITING_PAYMENT, Status.PAID)
ALL = len(ORDERS) * len(LIFE)
BAD = {11: "unknown", 12: "greylisted"}
"""Orders (and users) whose mails are refused, and how."""

WITHIN_SECONDS = 240.0


class _Worker:
    """A notifications worker, and its log of all runs."""

    def __init__(self, cluster: KafkaSettings, directory: Path, **different: str) -> None:
        self._log = directory / "notifications.log"
        self._metrics_port = free_port()
        own = {"KAFKA": cluster.kafka, "PARTITIONS": str(cluster.partitions)}
        own |= {"WORKER": "notifications-1", "STATE_DIR": str(directory / "state")}
        own |= {"METRICS_PORT": str(self._metrics_port)}
        self._environment = os.environ | own | different
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents", "notifications"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def lines(self, words: str) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if words in line]

    async def metric(self, name: str, transport: str) -> float | None:
        """Return a gauge of a transport."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        start = f'{name}{{transport="{transport}"}} '
        found = [line for line in text.splitlines() if line.startswith(start)]
        return float(found[0].removeprefix(start)) if found else None


@pytest.fixture
async def worker(
    cluster: KafkaSettings, tmp_path: Path, mails: MailSink, hook: WebhookSink
) -> AsyncIterator[_Worker]:
    """A worker whose webhook is down."""
    await hook.stop()
    urls = {"SMTP_URL": f"smtp://127.0.0.1:{mails.port}", "WEBHOOK_URL": hook.url}
    there = _Worker(cluster, tmp_path, **urls)
    yield there
    there.end(signal.SIGKILL)


async def send(cluster: KafkaSettings, events: Iterable[OrderStatusChanged]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=cluster.kafka, acks="all")
    async with producer:
        for event in events:
            await producer.send(
                ORDER_EVENTS.name,
                event.to_json(),
                ORDER_EVENTS.key_of(event),
                headers=[("event-id", event.event_id.encode())],
            )


def by_order(ids: Iterable[str]) -> dict[int, list[str]]:
    """Return the statuses that were delivered of each order, each the first time."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for each in dict.fromkeys(ids):
        order, _, status = each.partition(":")
        found[int(order)].append(status)
    return found


def mailed(mails: MailSink) -> list[str]:
    ids = (mail.message["Message-ID"][len("<order-") :] for mail in mails.mails)
    return [each.partition("@")[0].replace(".", ":") for each in ids]


def posted(hook: WebhookSink) -> list[str]:
    return [post.headers["Idempotency-Key"] for post in hook.posted]


async def test_a_dead_webhook_and_bad_addresses_hold_up_no_other_and_kill_9_loses_nothing(
    worker: _Worker, cluster: KafkaSettings, mails: MailSink, hook: WebhookSink
):
    for order, refused in BAD.items():
        getattr(mails, refused).add(f"user-{order}@example.test")
    for status in LIFE:
        await send(cluster, (event_of(order, status, user=order) for order in ORDERS))
    await until(lambda: len(mails.mails) >= ALL / 3, "a third of the mails", WITHIN_SECONDS)
    worker.end(signal.SIGKILL)
    worker.start()
    good = {order for order in ORDERS if order not in BAD}
    expected = ["new", "awaiting-payment", "paid"]

    def all_mails() -> bool:
        found = by_order(mailed(mails))
        return all(found.get(order) == expected for order in good)

    await until(all_mails, "all mails of good addresses, in order", WITHIN_SECONDS)
    logged = {
        line.split('id="')[1].split('"')[0]
        for line in worker.lines("event=notification id")
    }
    assert logged == {f"{order}:{status}" for order in ORDERS for status in LIFE}
    assert not hook.posted

    async def gauges() -> bool:
        up, *pending = [
            await worker.metric("notices_transport_up", "webhook"),
            await worker.metric("notices_pending", "webhook"),
            await worker.metric("notices_pending", "smtp"),
        ]
        return up == 0 and pending == [ALL, len(LIFE)]

    await until(gauges, "all webhooks and the greylisted mails pending in the metrics")
    assert await worker.metric("notices_oldest_pending_seconds", "webhook") > 1000
    assert worker.end(signal.SIGTERM) == 0
    worker.start()
    await hook.start(hook.port)

    def all_posts() -> bool:
        return by_order(posted(hook)) == {order: [*LIFE] for order in ORDERS}

    await until(all_posts, "all webhooks, in order", WITHIN_SECONDS)
    mails.greylisted.clear()
    late = until(lambda: by_order(mailed(mails)).get(12) == expected, "late mails", 120)
    assert await late
    assert 11 not in by_order(mailed(mails))


@pytest.mark.parametrize("how", ["resets", "503"])
async def test_a_webhook_that_breaks_holds_up_no_mail(
    worker: _Worker, cluster: KafkaSettings, mails: MailSink, hook: WebhookSink, how: str
):
    first = 10_000 if how == "resets" else 20_000
    orders = range(first, first + 100)

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    if how == "resets":
        server = await asyncio.start_server(reset, "127.0.0.1", hook.port)
    else:
        hook.broken = 503
        await hook.start(hook.port)
    for status in LIFE:
        await send(cluster, (event_of(order, status, user=order) for order in orders))
    everything = {f"{order}:{s.replace(' ', '-')}" for order in orders for s in LIFE}
    await until(lambda: everything <= {*mailed(mails)}, "all mails", WITHIN_SECONDS)
    if how == "resets":
        server.close()
        await server.wait_closed()
        await hook.start(hook.port)
    hook.posted.clear()
    hook.broken = 0

    def all_posts() -> bool:
        found = by_order(posted(hook))
        return all(found.get(order) == [*LIFE] for order in orders)

    await until(all_posts, "all webhooks, in order", WITHIN_SECONDS)
