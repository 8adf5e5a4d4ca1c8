"""Requests to stock over Kafka, as keys and values."""

from typing import Any

SKUS = 20_000


def receive_stock(number: int) -> tuple[str, dict[str, Any]]:
    """Receive stock of one of many skus: two rows are written, one reply is sent."""
    sku = number % SKUS
    return str(sku), {"type": "receiveStock", "sku": sku, "warehouseID": 1, "count": 1}


def receive_hot(_: int) -> tuple[str, dict[str, Any]]:
    """Receive stock of always the same sku."""
    return "7", {"type": "receiveStock", "sku": 7, "warehouseID": 1, "count": 1}


def stocks(number: int) -> tuple[str, dict[str, Any]]:
    """Query the stock: one row is read, one reply is sent."""
    sku = number % SKUS
    return str(sku), {"type": "stocks", "sku": sku}
