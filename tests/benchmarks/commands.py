"""Requests to stock over Kafka, as keys and values."""

from typing import Any

SKUS = 20_000


def receive_stock(number: int) -> tuple[str, dict[str, Any]]:
    """Goods for one of many skus: two rows written, and a reply."""
    sku = number % SKUS
    return str(sku), {"type": "receiveStock", "sku": sku, "warehouseID": 1, "count": 1}


def receive_hot(_: int) -> tuple[str, dict[str, Any]]:
    """Goods for always the same sku."""
    return "7", {"type": "receiveStock", "sku": 7, "warehouseID": 1, "count": 1}


def stocks(number: int) -> tuple[str, dict[str, Any]]:
    """A question: a row read, and a reply."""
    sku = number % SKUS
    return str(sku), {"type": "stocks", "sku": sku}
