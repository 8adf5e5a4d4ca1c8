"""A demo of purchases on a running shop: each call, its reply, and its records on Kafka.

If the gateway needs a token (`GATEWAY_TOKENS`), the demo sends that of `GATEWAY_TOKEN`.
"""

import json
import os
import secrets
import ssl
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import ClientError, ClientSession, TCPConnector
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from agents.ops.local.deployment import Deployment, ShopError
from agents.ops.local.progress import echo
from agents.ops.local.trace_recorder import TRACEPARENT, TraceRecorder, new_trace
from topics.catalog import STOCK_REQUESTS
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings
from topics.target import NoClusterError, choose

# Products without sample stock: the demo sells the goods that it receives.
_RECORD, _CARDS = 2958025, 2618151
_MAX_WIDTH = 140
_LOCKED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class Walk:
    """A visitor of the shop; each step prints a call, its reply, and its records."""

    def __init__(self, session: ClientSession, url: str, recorder: TraceRecorder) -> None:
        self._session = session
        self._url = url
        self._recorder = recorder

    async def call(
        self, title: str, path: str, body: dict[str, Any], expect: int = 200
    ) -> Any:  # noqa: ANN401
        """Make a call; print the reply and the records.

        Raises:
            ShopError: the status of the reply is not the expected one.
        """
        trace = new_trace()
        echo(f"\n■ {title}\n  POST {path} {_json(body)}")
        headers = {TRACEPARENT: trace}
        response = await self._session.post(self._url + path, json=body, headers=headers)
        reply = await response.json(content_type=None)
        echo(f"  → {response.status} {_json(reply)}")
        if response.status in _LOCKED:
            raise ShopError(
                "the gateway needs the token of an operator: GATEWAY_TOKEN=... make demo"
                " (python -m gateway token operator makes one)"
            )
        await self._show(trace)
        if response.status != expect:
            raise ShopError(
                f"the demo ends here: {path} returned {response.status}, not {expect}"
            )
        return reply

    async def send(self, title: str, value: dict[str, Any]) -> None:
        """Send a request to stock over Kafka; print the records."""
        trace = new_trace()
        echo(f"\n■ {title}\n  {STOCK_REQUESTS.name} ← {_json(value)}")
        await self._recorder.send(STOCK_REQUESTS, _json(value).encode(), trace)
        await self._show(trace)

    async def _show(self, trace: str) -> None:
        for record in await self._recorder.records_of(trace):
            value = record.value.decode()
            short = value if len(value) <= _MAX_WIDTH else value[: _MAX_WIDTH - 1] + "…"
            key = (record.key or b"no key").decode()
            echo(f"    {record.topic:<17}{key:<12}{short}")


async def walk_through(shop: Deployment) -> None:
    """Make each call of the demo.

    Raises:
        ShopError: the shop does not answer, or with another status than expected.
    """
    url = shop.gateway_urls[0]
    try:
        cluster, origin = choose()
    except (NoClusterError, ValidationError) as error:
        raise ShopError(str(error)) from error
    echo(f"Kafka at {cluster.kafka}, {origin}")
    echo(f"Purchases at {url}. Indented lines are records on Kafka: topic, key, value.")
    echo("Each step waits until no more records arrive.")
    try:
        await answered(cluster, partial(_walk_through, shop, url))
    except (
        ClientError,
        KafkaError,
        NoAnswerError,
        KafkaAuthenticationError,
        OSError,
    ) as error:
        raise ShopError(f"the shop does not answer (make run-all?): {error}") from error


async def _walk_through(shop: Deployment, url: str, cluster: KafkaSettings) -> None:
    async with _session(shop) as session, TraceRecorder(cluster) as recorder:
        await _story(Walk(session, url, recorder))


def _session(shop: Deployment) -> ClientSession:
    token = os.environ.get("GATEWAY_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    cert = shop.gateway_tls_cert
    connector = TCPConnector(ssl=_trusting(cert) if cert else True)
    return ClientSession(headers=headers, connector=connector)


def _trusting(cert: str) -> ssl.SSLContext:
    """Return a context that trusts only the gateway's certificate, for any host name."""
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _story(walk: Walk) -> None:
    user = secrets.randbelow(2**31)
    await _fill_a_cart(walk, user)
    first = await walk.call(
        "The cart becomes an order; its goods are reserved in their warehouses.",
        "/purchase",
        {"user": user},
    )
    await walk.call("The order awaits payment for ten minutes.", "/listOrder", first)
    await walk.call(
        "Cancel the order; its goods are available again.", "/cancelOrder", first
    )
    await walk.call("The stock of the first product.", "/stocks", {"sku": _RECORD})
    await _buy_after_all(walk, user)
    await _meet_the_edges(walk, user)


async def _fill_a_cart(walk: Walk, user: int) -> None:
    for sku, warehouse in ((_RECORD, 3), (_CARDS, 1)):
        goods = {"sku": sku, "warehouseID": warehouse, "count": 2}
        await walk.call("Goods arrive at a warehouse.", "/receiveStock", goods)
    for sku in (_RECORD, _CARDS):
        line = {"user": user, "sku": sku, "count": 2}
        await walk.call(
            "Put goods into the cart; checkout checks the stock over Kafka.",
            "/addToCart",
            line,
        )
    less = {"user": user, "sku": _CARDS, "count": 1}
    await walk.call("Remove one piece.", "/deleteFromCart", less)
    await walk.call(
        "Names and prices come from ProductService by gRPC.",
        "/listCart",
        {"user": user},
    )
    await walk.call(
        "A product without stock is refused; the cart stays the same.",
        "/addToCart",
        {"user": user, "sku": _unknown(), "count": 1},
        expect=409,
    )


async def _buy_after_all(walk: Walk, user: int) -> None:
    items = [{"sku": _RECORD, "count": 2}, {"sku": _CARDS, "count": 2}]
    second = await walk.call(
        "Order the same goods without a cart.",
        "/createOrder",
        {"user": user, "items": items},
    )
    await walk.call(
        "Pay the order; the reserved goods are written off.", "/orderPayed", second
    )
    await walk.call("The order is paid.", "/listOrder", second)
    await walk.call("A paid order can't be cancelled.", "/cancelOrder", second, expect=409)


async def _meet_the_edges(walk: Walk, user: int) -> None:
    items = [{"sku": _CARDS, "count": 1}, {"sku": _unknown(), "count": 1}]
    third = await walk.call(
        "An order fails as a whole if one of its goods is missing.",
        "/createOrder",
        {"user": user, "items": items},
    )
    await walk.call("The order has failed.", "/listOrder", third)
    await walk.send(
        "A request over Kafka by any client, with neither key nor reply topic.\n"
        "  The shop passes it on to its owner; the reply goes to the common topic.",
        {"type": "stocks", "sku": 1076963},
    )
    echo("\nThe demo is complete. Next: make logs, make kafka-ui.")


def _unknown() -> int:
    """Return a random sku: no earlier run has received goods of it."""
    return secrets.randbelow(2**32)


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False)
