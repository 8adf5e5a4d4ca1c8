"""An HTTP client and a Kafka client of the shop with one interface, for the same tests."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiokafka.errors import KafkaError

from tests.e2e.kafka import Kafka
from tests.e2e.records import Record
from tests.e2e.waiting import until

PROBLEM = "application/problem+json"

# The error codes of the specification, and their HTTP status.
STATUS = {
    "bad-request": 400,
    "unknown-order": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-large": 413,
    "insufficient-stock": 409,
    "cart-empty": 409,
    "cart-full": 409,
    "wrong-status": 409,
    "count-too-large": 409,
    "total-too-large": 409,
    "key-reused": 422,
    "unknown-product": 502,
    "product-service": 502,
    "unavailable": 503,
    "overloaded": 503,
    "timeout": 504,
}
TRY_AGAIN = ("unavailable", "overloaded", "timeout")

_ORDER_CALLS = ("listOrder", "orderPayed", "cancelOrder")
_STOCK_CALLS = ("stocks", "receiveStock")
_SHARDS = 4096


class NoAnswer(Exception):  # noqa: N818 -- an outcome
    """The result of the request is unknown: retry it with the same key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a call, or the code of its refusal."""

    reply: dict[str, Any]
    code: str | None = None
    text: str = ""


def as_record(call: str, body: dict[str, Any], key: str | None = None) -> Record:
    """Return the Kafka record of a call."""
    topic, owner = _address(call, body)
    headers = () if key is None else (("idempotency-key", key.encode()),)
    value = json.dumps({"type": call, **body}).encode()
    return Record(topic, value, str(owner).encode(), headers)


def _address(call: str, body: dict[str, Any]) -> tuple[str, int]:
    if call in _STOCK_CALLS:
        return "stock.requests", body["sku"]
    if call in _ORDER_CALLS:
        return "order.requests", body["orderID"] % _SHARDS
    if call == "createOrder":
        return "order.requests", body["user"] % _SHARDS
    return "cart.requests", body["user"]


class ShopClient(ABC):
    """A client of the shop."""

    @abstractmethod
    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send a request once.

        Raises:
            NoAnswer: no reply came, or its error code requires a retry.
        """

    async def do(self, call: str, key: str | None = None, **body: Any) -> dict[str, Any]:
        """Send a request that must succeed; return its reply."""
        answer = await self.ask(call, body, key)
        assert answer.code is None, f"{call} {body}: {answer.code} ({answer.text})"
        return answer.reply

    async def refusal(self, call: str, key: str | None = None, **body: Any) -> str:
        """Send a request that must be refused; return the error code."""
        answer = await self.ask(call, body, key)
        assert answer.code is not None, f"{call} {body} was carried out: {answer.reply}"
        return answer.code

    async def ask_until_answered(self, call: str, key: str, **body: Any) -> Answer:
        """Retry a request with the same key until it is answered."""

        async def answer() -> Answer | None:
            try:
                return await self.ask(call, body, key)
            except NoAnswer:
                return None

        return await until(answer, f"an answer to {call} {body}", within=300)


class HttpClient(ShopClient):
    """A client of a gateway."""

    def __init__(self, url: str) -> None:
        self.url = url
        timeout = aiohttp.ClientTimeout(total=90)
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """POST a request."""
        return await self.post(call, json.dumps(body).encode(), key)

    async def post(self, call: str, body: bytes, key: str | None = None) -> Answer:
        """POST any bytes."""
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"{self.url}/{call}"
        try:
            async with self.session.post(url, data=body, headers=headers) as response:
                content = await response.json(content_type=None)
                return _answer(response, content)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise NoAnswer(repr(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()


def _answer(response: aiohttp.ClientResponse, content: dict[str, Any]) -> Answer:
    if response.status == 200:
        assert response.content_type == "application/json"
        return Answer(content)
    assert response.content_type == PROBLEM, content
    assert content.keys() == {"type", "title", "status", "detail", "code"}
    assert response.status == content["status"] == STATUS[content["code"]], content
    if content["code"] in TRY_AGAIN:
        raise NoAnswer(content["code"])
    return Answer({}, content["code"], content["detail"])


class KafkaClient(ShopClient):
    """A client of the request topics."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send one record and wait for its reply."""
        try:
            reply = await self.kafka.ask(as_record(call, body, key))
        except (KafkaError, TimeoutError) as error:
            raise NoAnswer(repr(error)) from error
        return answer_of(reply.value)


def answer_of(value: bytes) -> Answer:
    """Parse a reply record.

    Raises:
        NoAnswer: its error code requires a retry.
    """
    content = json.loads(value)
    kind = content.pop("type")
    if kind != "refused":
        assert (kind == "done") == (not content), (kind, content)
        return Answer(content)
    assert content.keys() == {"code", "text"}
    assert content["code"] in STATUS
    if content["code"] in TRY_AGAIN:
        raise NoAnswer(content["code"])
    return Answer({}, **content)
