"""Contracts of orders: what is asked and answered, and what becomes of them."""

from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.contract import (
    MAX_COUNT,
    MAX_LINES,
    MAX_TIMEOUT_SECONDS,
    SHARDS,
    Contract,
    Item,
    OrderMessage,
    Sku,
    UserId,
    UserMessage,
)


class Status(StrEnum):
    """Where an order stands; the last three are final."""

    NEW = "new"
    AWAITING_PAYMENT = "awaiting payment"
    FAILED = "failed"
    PAID = "paid"
    CANCELLED = "cancelled"


def merge_lines(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Add up lines of the same sku, and sort by sku.

    Raises:
        ValueError: a sum passes 65535.
    """
    if all(a.sku < b.sku for a, b in pairwise(items)):
        return items
    counts: dict[int, int] = {}
    for item in items:
        counts[item.sku] = counts.get(item.sku, 0) + item.count
        if counts[item.sku] > MAX_COUNT:
            raise ValueError(f"the lines of sku {item.sku} add up to over {MAX_COUNT}")
    return tuple(Item(sku=sku, count=count) for sku, count in sorted(counts.items()))


Items = Annotated[
    tuple[Item, ...],
    # Without fail_fast, naming what is wrong with a megabyte of lines takes seconds.
    Field(min_length=1, max_length=MAX_LINES, fail_fast=True),
    AfterValidator(merge_lines),
]


def _is_a_moment(at: datetime) -> datetime:
    # The calendar ends: whoever told it in UTC would fall over what is just before it.
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is no moment of a year from 1 to 9999 in UTC") from None
    return at


def order_id(user: int, request_id: str) -> int:
    """Name the order of a request: the same however often the request comes.

    Returns:
        0 … 2^53-1, so exact in JavaScript too; the low 12 bits are the user's shard.
    """
    digest = blake2b(f"{user}/{request_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**41 * SHARDS + user % SHARDS


# Requests


class CreateOrder(UserMessage):
    """Reserve all lines or none; the same sku twice is one line with the sum."""

    type: Literal["createOrder"] = "createOrder"
    items: Items


class ListOrder(OrderMessage):
    """Show an order."""

    type: Literal["listOrder"] = "listOrder"


class PayOrder(OrderMessage):
    """Mark an order as paid; its reserved goods are written off."""

    type: Literal["orderPayed"] = "orderPayed"


class CancelOrder(OrderMessage):
    """Cancel an order that is not paid; its reservations are given back."""

    type: Literal["cancelOrder"] = "cancelOrder"


class AnonymizeOrder(OrderMessage):
    """Erase whose order it was; for whoever runs the shop. The order must be over."""

    type: Literal["forgetOrder"] = "forgetOrder"


class ExpireOrder(OrderMessage, extra="ignore"):
    """What LOMS' own timer asks of an order unpaid for so long; the order decides."""

    type: Literal["expireOrder"] = "expireOrder"
    unpaid_seconds: int = Field(
        alias="unpaidSeconds", strict=True, ge=0, le=MAX_TIMEOUT_SECONDS
    )


class StockReserved(OrderMessage, extra="ignore"):
    """Stock's answer to a reserve: all of the line, or nothing of it."""

    type: Literal["stockReserved"] = "stockReserved"
    sku: Sku
    reserved: bool = Field(strict=True)


OrderRequest = Annotated[
    CreateOrder
    | ListOrder
    | PayOrder
    | CancelOrder
    | AnonymizeOrder
    | ExpireOrder
    | StockReserved,
    Field(discriminator="type"),
]

# Replies and facts


class OrderPlaced(OrderMessage, extra="ignore"):
    """The reply to createOrder and purchase, once the order has settled."""

    type: Literal["orderPlaced"] = "orderPlaced"


class OrderView(Contract, extra="ignore"):
    """The reply to listOrder: one line a sku, ascending."""

    type: Literal["order"] = "order"
    status: Status
    user: UserId
    items: tuple[Item, ...]


class OrderStatusChanged(OrderMessage, extra="ignore"):
    """A fact: the status an order took, and when (RFC 3339, UTC)."""

    type: Literal["orderStatusChanged"] = "orderStatusChanged"
    user: UserId
    status: Status
    items: tuple[Item, ...]
    at: Annotated[datetime, AfterValidator(_is_a_moment)]

    @property
    def event_id(self) -> str:
        """What tells a repeat, since events come at least once."""
        return f"{self.order_id}:{self.status}"
