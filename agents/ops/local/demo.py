"""A demo of purchases on a running shop: each call, its reply, and its records on Kafka.

If the gateway needs a token (`GATEWAY_TOKENS`), the demo sends that of `GATEWAY_TOKEN`.
"""

import json
import os
import secrets
import ssl
import time
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import ClientError, ClientSession, TCPConnector
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.ops.local.deployment import Deployment
from topics.catalog import STOCK_REQUESTS, TOPICS
from topics.cli import CommandError, echo
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.headers import TRACE, trace_id
from topics.kafka.liveness import NotRespondingError, run_supervised
from topics.kafka.request_reply import assign_at_end
from topics.kafka.settings import KafkaSettings
from topics.target import choose
from topics.topic import TopicKind

# Products without sample stock: the demo sells the units that it receives.
_RECORD, _CARDS = 2958025, 2618151
_MAX_WIDTH = 140
_LOCKED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_TRACEPARENT = TRACE[0]
_TIMEOUT_SECONDS = 10.0
_QUIET_MS = 400

_FAILURES = (
    *(ClientError, KafkaError, OSError),
    *(NotRespondingError, KafkaAuthenticationError),
)


@dataclass
class Walk:
    """A visitor of the shop; each step prints a call, its reply, and its records.

    All records that follow from a call carry its trace context. The consumer reads all
    topics.
    """

    session: ClientSession
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer

    async def call(self, title: str, path: str, *, expect: int = 200, **body: Any) -> Any:  # noqa: ANN401
        """Make a call; print the reply and the records; end the demo at another status."""
        trace = _new_trace()
        echo("", f"■ {title}", f"  POST {path} {_json(body)}")
        headers = {_TRACEPARENT: trace}
        response = await self.session.post(path, json=body, headers=headers)
        reply = await response.json(content_type=None)
        echo(f"  → {response.status} {_json(reply)}")
        if response.status in _LOCKED:
            raise CommandError(
                "the gateway needs the token of an operator: GATEWAY_TOKEN=... make demo"
                " (python -m gateway token operator makes one)"
            )
        await self._show(trace)
        if response.status != expect:
            raise CommandError(
                f"the demo ends here: {path} returned {response.status}, not {expect}"
            )
        return reply

    async def send(self, value: dict[str, Any], *title: str) -> None:
        """Send a request to stock over Kafka, with neither key nor reply topic."""
        trace = _new_trace()
        echo("", *title, f"  {STOCK_REQUESTS.name} ← {_json(value)}")
        headers, encoded = [(_TRACEPARENT, trace.encode())], _json(value).encode()
        await self.producer.send_and_wait(STOCK_REQUESTS.name, encoded, headers=headers)
        await self._show(trace)

    async def _show(self, trace: str) -> None:
        """Print the records of a trace, once a reply and no more records arrive."""
        found: list[ConsumerRecord[Any, Any]] = []
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            batches = await self.consumer.getmany(timeout_ms=_QUIET_MS)
            records = (record for batch in batches.values() for record in batch)
            new = [record for record in records if _has_trace(record, trace)]
            found += new
            if not new and any(record.topic.endswith(".replies") for record in found):
                break
        for record in sorted(found, key=lambda record: record.timestamp):
            value = record.value.decode()
            short = value if len(value) <= _MAX_WIDTH else value[: _MAX_WIDTH - 1] + "…"
            key = (record.key or b"no key").decode()
            echo(f"    {record.topic:<17}{key:<12}{short}")


async def walk_through(shop: Deployment) -> None:
    """Make each call of the demo."""
    cluster, origin = choose()
    echo(
        f"Kafka at {cluster.kafka}, {origin}",
        f"Purchases at {shop.gateway_urls[0]}."
        " Indented lines are records on Kafka: topic, key, value.",
        "Each step waits until no more records arrive.",
    )
    try:
        await run_supervised(cluster, partial(_walk_through, shop))
    except _FAILURES as error:
        raise CommandError(f"the shop does not answer (make run-all?): {error}") from error
    echo("", "The demo is complete. Next: make logs, make kafka-ui.")


async def _walk_through(shop: Deployment, cluster: KafkaSettings) -> None:
    options = cluster.client_options()
    async with (
        _session(shop) as session,
        AIOKafkaConsumer(**options) as consumer,
        AIOKafkaProducer(**options) as producer,
    ):
        partitions = [
            TopicPartition(topic.name, number)
            for topic in TOPICS
            if topic.kind is not TopicKind.CHANGELOG
            for number in range(topic.partitions or cluster.partitions)
        ]
        await assign_at_end(consumer, partitions)
        walk, user = Walk(session, producer, consumer), secrets.randbelow(2**31)
        await _fill_a_cart(walk, user)
        await _order_and_cancel(walk, user)
        await _order_and_pay(walk, user)
        await _order_in_vain(walk, user)
        await walk.send(
            {"type": "stocks", "sku": 1076963},
            "■ A request over Kafka by any client, with neither key nor reply topic.",
            "  The shop passes it on to its owner; the reply goes to the common topic.",
        )


def _session(shop: Deployment) -> ClientSession:
    token = os.environ.get("GATEWAY_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = None
    if shop.gateway_tls_cert:
        # Only the gateway's certificate is trusted, for any host name.
        context = ssl.create_default_context(cafile=shop.gateway_tls_cert)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        connector = TCPConnector(ssl=context)
    return ClientSession(shop.gateway_urls[0], headers=headers, connector=connector)


async def _fill_a_cart(walk: Walk, user: int) -> None:
    for sku, warehouse in ((_RECORD, 3), (_CARDS, 1)):
        title = "Receive stock into a warehouse."
        await walk.call(title, "/receiveStock", sku=sku, warehouseID=warehouse, count=2)
    for sku in (_RECORD, _CARDS):
        title = "Put units into the cart; checkout checks the stock over Kafka."
        await walk.call(title, "/addToCart", user=user, sku=sku, count=2)
    await walk.call("Remove one piece.", "/deleteFromCart", user=user, sku=_CARDS, count=1)
    title = "Names and prices come from ProductService by gRPC."
    await walk.call(title, "/listCart", user=user)
    title = "A product without stock is refused; the cart stays the same."
    await walk.call(title, "/addToCart", user=user, sku=_unknown(), count=1, expect=409)


async def _order_and_cancel(walk: Walk, user: int) -> None:
    title = "The cart becomes an order; its units are reserved in their warehouses."
    order = await walk.call(title, "/purchase", user=user)
    await walk.call("The order awaits payment for ten minutes.", "/listOrder", **order)
    title = "Cancel the order; its units are available again."
    await walk.call(title, "/cancelOrder", **order)
    await walk.call("The stock of the first product.", "/stocks", sku=_RECORD)


async def _order_and_pay(walk: Walk, user: int) -> None:
    items = [{"sku": _RECORD, "count": 2}, {"sku": _CARDS, "count": 2}]
    title = "Order the same products without a cart."
    order = await walk.call(title, "/createOrder", user=user, items=items)
    title = "Pay the order; the reserved units are written off."
    await walk.call(title, "/orderPayed", **order)
    await walk.call("The order is paid.", "/listOrder", **order)
    title = "A paid order can't be cancelled."
    await walk.call(title, "/cancelOrder", **order, expect=409)


async def _order_in_vain(walk: Walk, user: int) -> None:
    items = [{"sku": _CARDS, "count": 1}, {"sku": _unknown(), "count": 1}]
    title = "An order fails as a whole if a unit of it is missing."
    order = await walk.call(title, "/createOrder", user=user, items=items)
    await walk.call("The order has failed.", "/listOrder", **order)


def _unknown() -> int:
    """Return a random sku: no earlier run has received units of it."""
    return secrets.randbelow(2**32)


def _new_trace() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def _has_trace(record: ConsumerRecord[Any, Any], trace: str) -> bool:
    """Compare trace ids: with tracing on, each record has a span id of its own."""
    traceparent = dict(record.headers).get(_TRACEPARENT) or b""
    return trace_id(traceparent) == trace_id(trace.encode())


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False)
