"""Every integer field of every call, and values outside its range."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_RANGES = {
    "user": range(-(2**63), 2**63),
    "orderID": range(-(2**63), 2**63),
    "warehouseID": range(-(2**63), 2**63),
    "sku": range(2**32),
    "count": range(1, 2**16),
    "goods": range(1, 2**64),
}

# Values that are no integers; as JSON, since Python takes some of them for equal.
_NO_INTEGERS = (
    *("true", "false", '"1"', '""', "1.0", "1.5", "-0.5", "1e0", "null", "[]", "[1]"),
    *("{}", "NaN", "01", "+1", "0x1"),
)
_EDGES = (
    *(-(10**30), -(2**63) - 1, -(2**63), -1, 0, 65536, 2**32, 2**63, 2**64),
    *(10**30, 10**300),
)
_HERE = "<here>"


class Field(NamedTuple):
    """An integer field of a call: its name, its range, and a valid body."""

    call: str
    name: str
    allowed: range
    body: dict[str, Any]

    def wrong_bodies(self) -> Iterator[bytes]:
        """Yield the body with each invalid value of this field."""
        out_of_range = (str(n) for n in _EDGES if n not in self.allowed)
        text = json.dumps(self.body)
        for wrong in (*_NO_INTEGERS, *out_of_range):
            yield text.replace(f'"{_HERE}"', wrong).encode()


def fields(user: int, sku: int, order: int) -> list[Field]:
    """Return every integer field of every call."""
    item = {"sku": sku, "count": 1}
    bodies = {
        "addToCart": {"user": user, **item},
        "deleteFromCart": {"user": user, **item},
        "listCart": {"user": user},
        "purchase": {"user": user},
        "purchases": {"user": user},
        "createOrder": {"user": user, "items": [item]},
        "listOrder": {"orderID": order},
        "orderPayed": {"orderID": order},
        "cancelOrder": {"orderID": order},
        "stocks": {"sku": sku},
        "receiveStock": {"warehouseID": 1, **item},
    }
    return [
        Field(call, name, _range(call, name), body | {name: _HERE})
        for call, body in bodies.items()
        for name in body
        if name != "items"
    ] + [
        Field(
            "createOrder",
            name,
            _RANGES[name],
            {"user": user, "items": [item | {name: _HERE}]},
        )
        for name in item
    ]


def _range(call: str, name: str) -> range:
    is_stock = (call, name) == ("receiveStock", "count")
    return _RANGES["goods" if is_stock else name]
