"""The whole way of buying goods, walked against a running shop, with what Kafka saw.

Where the gateway needs a token (`GATEWAY_TOKENS`) it is that of `GATEWAY_TOKEN`.
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

# Products of which there are no sample goods: what the demo brings it sells again.
_RECORD, _CARDS = 2958025, 2618151
_WIDEST = 140
_LOCKED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class Walk:
    """One visitor of the shop; each step is a call, its reply, and its records."""

    def __init__(self, session: ClientSession, url: str, seen: TraceRecorder) -> None:
        self._session = session
        self._url = url
        self._seen = seen

    async def call(
        self, why: str, path: str, body: dict[str, Any], expect: int = 200
    ) -> Any:  # noqa: ANN401
        """Make a call and show what came of it.

        Raises:
            ShopError: the shop's answer is not the one that the story goes on with.
        """
        trace = new_trace()
        echo(f"\n■ {why}\n  POST {path} {_json(body)}")
        headers = {TRACEPARENT: trace}
        answer = await self._session.post(self._url + path, json=body, headers=headers)
        said = await answer.json(content_type=None)
        echo(f"  → {answer.status} {_json(said)}")
        if answer.status in _LOCKED:
            raise ShopError(
                "the gateway needs the token of an operator: GATEWAY_TOKEN=... make demo"
                " (python -m gateway token operator makes one)"
            )
        await self._show(trace)
        if answer.status != expect:
            raise ShopError(f"the story ends here: {path} should have answered {expect}")
        return said

    async def send(self, why: str, value: dict[str, Any]) -> None:
        """Ask stock something straight over Kafka, and show what came of it."""
        trace = new_trace()
        echo(f"\n■ {why}\n  {STOCK_REQUESTS.name} ← {_json(value)}")
        await self._seen.send(STOCK_REQUESTS, _json(value).encode(), trace)
        await self._show(trace)

    async def _show(self, trace: str) -> None:
        for record in await self._seen.records_of(trace):
            value = record.value.decode()
            short = value if len(value) <= _WIDEST else value[: _WIDEST - 1] + "…"
            key = (record.key or b"no key").decode()
            echo(f"    {record.topic:<17}{key:<12}{short}")


async def walk_through(shop: Deployment) -> None:
    """Make each call of the story.

    Raises:
        ShopError: the shop does not answer, or not as it should.
    """
    url = shop.gateway_urls[0]
    try:
        cluster, origin = choose()
    except (NoClusterError, ValidationError) as error:
        raise ShopError(str(error)) from error
    echo(f"Kafka at {cluster.kafka}, {origin}")
    echo(f"The story of buying goods at {url}; indented are the records on Kafka:")
    echo("topic, key, value. (Each step waits a moment until no more of them come.)")
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
    async with _session(shop) as session, TraceRecorder(cluster) as seen:
        await _story(Walk(session, url, seen))


def _session(shop: Deployment) -> ClientSession:
    token = os.environ.get("GATEWAY_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    cert = shop.gateway_tls_cert
    connector = TCPConnector(ssl=_trusting(cert) if cert else True)
    return ClientSession(headers=headers, connector=connector)


def _trusting(cert: str) -> ssl.SSLContext:
    """Trust the gateway's own certificate and no other, whatever host it names."""
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _story(walk: Walk) -> None:
    user = secrets.randbelow(2**31)
    await _fill_a_cart(walk, user)
    first = await walk.call(
        "The cart becomes an order; its goods are reserved in the warehouses they lie in.",
        "/purchase",
        {"user": user},
    )
    await walk.call("It awaits payment, for ten minutes.", "/listOrder", first)
    await walk.call("No: cancel it. Everything can be bought again.", "/cancelOrder", first)
    await walk.call("See:", "/stocks", {"sku": _RECORD})
    await _buy_after_all(walk, user)
    await _meet_the_edges(walk, user)


async def _fill_a_cart(walk: Walk, user: int) -> None:
    for sku, warehouse in ((_RECORD, 3), (_CARDS, 1)):
        goods = {"sku": sku, "warehouseID": warehouse, "count": 2}
        await walk.call("Goods arrive at a warehouse.", "/receiveStock", goods)
    for sku in (_RECORD, _CARDS):
        line = {"user": user, "sku": sku, "count": 2}
        await walk.call("Into the cart; stock is asked over Kafka.", "/addToCart", line)
    less = {"user": user, "sku": _CARDS, "count": 1}
    await walk.call("One of these is enough.", "/deleteFromCart", less)
    await walk.call(
        "Names and prices come from ProductService, by gRPC, at this moment.",
        "/listCart",
        {"user": user},
    )
    await walk.call(
        "What is in no warehouse can't be put in; nothing changes.",
        "/addToCart",
        {"user": user, "sku": _unknown(), "count": 1},
        expect=409,
    )


async def _buy_after_all(walk: Walk, user: int) -> None:
    items = [{"sku": _RECORD, "count": 2}, {"sku": _CARDS, "count": 2}]
    second = await walk.call(
        "The same goods again, without a cart.",
        "/createOrder",
        {"user": user, "items": items},
    )
    await walk.call("Pay: the reserved goods are written off.", "/orderPayed", second)
    await walk.call("It is paid.", "/listOrder", second)
    await walk.call("What is paid can't be cancelled.", "/cancelOrder", second, expect=409)


async def _meet_the_edges(walk: Walk, user: int) -> None:
    items = [{"sku": _CARDS, "count": 1}, {"sku": _unknown(), "count": 1}]
    third = await walk.call(
        "An order that can't be reserved as a whole fails as a whole.",
        "/createOrder",
        {"user": user, "items": items},
    )
    await walk.call("See:", "/listOrder", third)
    await walk.send(
        "The other door: a record on Kafka, by any client, with no key and no reply"
        " topic.\n  The shop finds its owner, and answers where everybody can see it.",
        {"type": "stocks", "sku": 1076963},
    )
    echo("\nThat was all of it. Look around: make logs, make kafka-ui.")


def _unknown() -> int:
    """Return a sku that nobody ever had: of any other there may be plenty."""
    return secrets.randbelow(2**32)


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False)
