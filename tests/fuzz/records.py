"""Random records: valid ones, and ones that are broken in one or several places.

A seed reproduces them.
"""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from schemas.order import order_id

Header = tuple[str, bytes | None]

# Some owners of each are in the first of two partitions.
SKUS, USERS, KEYS = (1, 2, 2**32 - 1), (1, 2, -6, 2**63 - 1), ("a", "b", "c")
ORDERS = (-1, *(order_id(user, f"key:{key}") for user in USERS for key in KEYS))
_EVENT = {"type": "orderStatusChanged", "orderID": 4097, "user": 1, "status": "new"}
_EVENT |= {"items": [], "at": "2026-01-01T00:00:00Z"}
VALID: dict[str, tuple[dict[str, Any], ...]] = {
    "cart.requests": (
        {"type": "addToCart", "user": 1, "sku": 1, "count": 2},
        {"type": "deleteFromCart", "user": 1, "sku": 1, "count": 1},
        {"type": "listCart", "user": 1},
        {"type": "purchase", "user": 1},
        {"type": "purchases", "user": -5},
        {"type": "forgetCart", "user": 1},
        {"type": "stockChecked", "user": 1, "sku": 1, "count": 2, "available": 9},
        {
            "type": "orderSettled",
            "user": 1,
            "purchase": "key:a",
            "orderID": 1,
            "status": "new",
        },
    ),
    "order.requests": (
        {"type": "createOrder", "user": 1, "items": [{"sku": 1, "count": 2}]},
        {
            "type": "createOrder",
            "user": 1,
            "items": [{"sku": n, "count": 1} for n in (3, 2)],
        },
        {"type": "listOrder", "orderID": 4097},
        {"type": "orderPayed", "orderID": 4097},
        {"type": "cancelOrder", "orderID": 8194},
        {"type": "forgetOrder", "orderID": 4097},
        {"type": "expireOrder", "orderID": 4097, "unpaidSeconds": 600},
        {"type": "deleteOrder", "orderID": 4097, "retentionDays": 365},
        {"type": "stockReserved", "orderID": 4097, "sku": 1, "reserved": True},
    ),
    "stock.requests": (
        {"type": "stocks", "sku": 1},
        {"type": "receiveStock", "sku": 1, "warehouseID": 1, "count": 5},
        {"type": "checkStock", "sku": 1, "user": 1, "count": 2},
        {"type": "reserve", "sku": 1, "orderID": 4097, "count": 1},
        {"type": "release", "sku": 1, "orderID": 4097},
        {"type": "sell", "sku": 1, "orderID": 4097},
    ),
    "product.requests": (
        {"type": "priceCart", "user": 1, "items": [{"sku": 1, "count": 2}]},
    ),
    "order.events": (_EVENT,),
}

_INTEGERS = [-(2**63), -(2**63) - 1, -1, 0, 1, 2, 65535, 65536, 2**31, 2**32 - 1, 2**32]
_INTEGERS += [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400]
_ODD = [True, False, None, "", "1", "\ud800", "\x00", 1.0, 1e308, float("nan"), [], {}]
_ODD += [[[]], {"": {}}, "x" * 5000, "ключ", "addToCart", "cancelled", "new"]
_NAMES = ["user", "sku", "count", "orderID", "order_id", "type", "items", "", "x", "é"]
_HEADERS = ["kafka_correlationId", "kafka_replyTopic", "kafka_replyPartition", "origin"]
_HEADERS += [
    "idempotency-key",
    "purchase",
    "traceparent",
    "tracestate",
    "event-id",
    "",
    "x",
]
_BYTES = [b"", b"\x00", b"\xff\xfe", b"1", b"key:a", b"\x00\x00\x00\x01", b"\xff" * 4]
_BYTES += [b"cart.replies", b"cart.requests", b"nobody.replies", b'"quoted"', b"k" * 129]
_BYTES += [b"1234", b"99999999999", b"nobody.reply"]
_BYTES += [b"cart.requests-0-7", b"x" * 5000, "ж".encode(), b"a\r\nb", b'"', b" ", b"\x7f"]


class RawName(str):
    """A header name that is no UTF-8 on the wire."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        """Return invalid UTF-8."""
        return b"\xff" + super().encode("utf-8")


class Wire(NamedTuple):
    """A record as a producer sends it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp: int


class Fuzzer:
    """Generates records.

    Args:
        seed: of the random generator.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._breaks: tuple[Callable[[dict[str, Any]], Any], ...] = (
            self._change_a_field,
            self._change_a_field,
            self._drop_a_field,
            self._add_a_field,
            self._wrap,
        )

    def records(self, topic: str, number: int) -> Iterator[Wire]:
        """Generate records for a topic; a third of the values are valid."""
        for _ in range(number):
            yield Wire(self._key(), self._value(topic), self._headers(), self._time())

    def _value(self, topic: str) -> bytes | None:
        chance = self._random.random()
        if chance < 0.02:
            return self._random.choice([None, *_BYTES])
        body: Any = json.loads(json.dumps(self._random.choice(VALID[topic])))
        self._choose_others(body)
        while chance > 0.35 and isinstance(body, dict):
            body = self._random.choice(self._breaks)(body)
            chance -= 0.4
        text = json.dumps(body, ensure_ascii=self._random.random() < 0.9)
        return self._scratch(text.encode(errors="surrogatepass"))

    def _choose_others(self, body: dict[str, Any]) -> None:
        for name, choices in (("user", USERS), ("sku", SKUS), ("orderID", ORDERS)):
            if name in body:
                body[name] = self._random.choice(choices)

    def _change_a_field(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body:
            return body
        name = self._random.choice([*body])
        if isinstance(body[name], list) and 0 < len(body[name]) < 1000:
            body[name] = body[name] * self._random.choice([0, 2, 1001])
        else:
            body[name] = self._odd()
        return body

    def _drop_a_field(self, body: dict[str, Any]) -> dict[str, Any]:
        if body:
            del body[self._random.choice([*body])]
        return body

    def _add_a_field(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {self._random.choice(_NAMES): self._odd()}

    def _wrap(self, body: dict[str, Any]) -> Any:
        return self._random.choice([[body], {"value": body}, [], 17, None, "x", [[body]]])

    def _odd(self) -> Any:
        return self._random.choice(self._random.choice([_INTEGERS, _ODD]))

    def _scratch(self, text: bytes) -> bytes:
        """Break bytes at random."""
        chance, place = self._random.random(), self._random.randrange(len(text) + 1)
        if chance < 0.05:
            return text[:place]
        if chance < 0.10:
            return text[:place] + self._random.randbytes(3) + text[place:]
        if chance < 0.12:
            return text + self._random.choice([text, b" " * 1000, b"\x00"])
        if chance < 0.121:
            return text + b" " * 300_000
        return text

    def _key(self) -> bytes | None:
        keys = [None, b"1", b"-5", b"4097", b"\xff", b"", b"k" * 2000]
        return self._random.choice(keys)

    def _headers(self) -> tuple[Header, ...]:
        if self._random.random() < 0.4:
            return (("idempotency-key", self._random.choice(KEYS).encode()),)
        number = self._random.choice([0, 0, 0, 0, 0, 1, 2, 5])
        return tuple(self._header() for _ in range(number))

    def _header(self) -> Header:
        name = self._random.choice(_HEADERS)
        value = self._random.choice([None, *_BYTES, self._random.randbytes(8)])
        if self._random.random() < 0.01:
            value = b"x" * 70_000
        return (RawName(name) if self._random.random() < 0.05 else name), value

    def _time(self) -> int:
        if self._random.random() < 0.95:
            return 1_790_000_000_000 + self._random.randrange(2_000_000)
        return self._random.choice([0, 2**53, -1, 2**62])
