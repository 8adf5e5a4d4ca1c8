"""A flood of requests over HTTP or Kafka does not block the other interface."""

import asyncio
import json
import time
from collections import Counter

from tests.e2e.clients import PROBLEM, HttpClient, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.steps import received

FLOOD = 5000
CALLS = 3000
"""Concurrent HTTP requests; a gateway accepts 2000."""

ANSWERED_SECONDS = 30.0
_CALLERS = 8


async def _call(http: HttpClient, sku: int) -> int:
    """Query the stock of a sku over HTTP; return the status, 200 or an overload."""
    began = time.monotonic()
    body = json.dumps({"sku": sku}).encode()
    async with http.session.post(f"{http.url}/stocks", data=body) as response:
        body = await response.json(content_type=None)
    assert time.monotonic() - began < ANSWERED_SECONDS
    if response.status == 200:
        assert body == {"stocks": [{"warehouseID": 1, "count": 7}]}
    else:
        assert (response.status, response.content_type) == (503, PROBLEM), body
        assert int(response.headers["Retry-After"]) > 0
    return response.status


async def test_http_requests_are_answered_while_the_request_topics_are_flooded(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku, wet = await received(http, ids, 7), [ids.sku() for _ in range(FLOOD)]
    body = {"warehouseID": 1, "count": 1}
    flood = [
        asyncio.create_task(kafka.ask(as_record("receiveStock", {"sku": each, **body})))
        for each in wet
    ]
    answers: Counter[int] = Counter()

    async def calls() -> None:
        while not all(each.done() for each in flood):
            answers[await _call(http, sku)] += 1

    await asyncio.gather(*(calls() for _ in range(_CALLERS)))
    replies = await asyncio.gather(*flood)
    assert Counter(reply.value for reply in replies) == {b'{"type":"done"}': FLOOD}
    assert answers[200] > 0
    assert await _call(http, sku) == 200


async def test_kafka_requests_are_answered_while_http_is_flooded(
    kafka: Kafka, http: HttpClient, ids: IdFactory
):
    sku = await received(http, ids, 7)
    flood = [asyncio.create_task(_call(http, sku)) for _ in range(CALLS)]
    replies = 0
    while not all(each.done() for each in flood):
        async with asyncio.timeout(ANSWERED_SECONDS):
            reply = await kafka.ask(as_record("stocks", {"sku": sku}))
        assert json.loads(reply.value)["stocks"] == [{"warehouseID": 1, "count": 7}]
        replies += 1
    answers = Counter(await asyncio.gather(*flood))
    assert answers.keys() <= {200, 503}
    assert answers[200] >= 2000 // 2
    assert replies > 0
    assert await _call(http, sku) == 200
