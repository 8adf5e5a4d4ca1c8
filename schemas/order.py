"""Contracts of orders: requests, replies and events."""

from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from schemas.contract import (
    MAX_COUNT,
    MAX_LINES,
    SHARDS,
    Contract,
    Item,
    OrderMessage,
    Sku,
    UserId,
    UserMessage,
    items_of,
    shard,
)

MAX_TIMEOUT_SECONDS = 2**31 - 1
"""68 years: a deadline so far ahead still is a date."""

MIN_RETENTION_DAYS, MAX_RETENTION_DAYS = 2, 36_500
"""Of an order that is over. Stock keeps its closed reservations for a day. An order that is
created again by the same key must not find them."""


class Status(StrEnum):
    """Status of an order; the last three are final."""

    NEW = "new"
    AWAITING_PAYMENT = "awaiting payment"
    FAILED = "failed"
    PAID = "paid"
    CANCELLED = "cancelled"


def order_id(user: int, request_id: str) -> int:
    """Return the id of a request's order: 0 … 2^53-1, exact in JavaScript."""
    digest = blake2b(f"{user}/{request_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**41 * SHARDS + shard(user)


def purchase_id(request_id: str) -> str:
    """Return the request id of the createOrder that a purchase becomes."""
    return f"purchase:{request_id}"  # no createOrder of a client has it


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
    return items_of(counts)


Items = Annotated[
    tuple[Item, ...],
    # Without fail_fast, listing the errors of a megabyte of lines takes seconds.
    Field(min_length=1, max_length=MAX_LINES, fail_fast=True),
    AfterValidator(merge_lines),
]


def _require_utc(at: datetime) -> datetime:
    # Near the ends of the calendar the conversion to UTC overflows.
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999 in UTC") from None
    return at


# Requests


class CreateOrder(UserMessage):
    """Reserve all lines or none; the same sku twice is one line with the sum."""

    type: Literal["createOrder"] = "createOrder"
    items: Items


class ListOrder(OrderMessage):
    """Show an order."""

    type: Literal["listOrder"] = "listOrder"


class PayOrder(OrderMessage):
    """Mark an order as paid; its reserved units are written off."""

    type: Literal["orderPayed"] = "orderPayed"


class CancelOrder(OrderMessage):
    """Cancel an order that is not paid; its reservations are released."""

    type: Literal["cancelOrder"] = "cancelOrder"


class AnonymizeOrder(OrderMessage):
    """Erase the buyer of a final order; for operators."""

    type: Literal["forgetOrder"] = "forgetOrder"


class ExpireOrder(OrderMessage, extra="ignore"):
    """Expire an order that is unpaid for so long; sent by LOMS' own timer."""

    type: Literal["expireOrder"] = "expireOrder"
    unpaid_seconds: int = Field(
        alias="unpaidSeconds", strict=True, ge=0, le=MAX_TIMEOUT_SECONDS
    )


class DeleteOrder(OrderMessage, extra="ignore"):
    """Delete an order that is over for so long; sent by LOMS' own timer."""

    type: Literal["deleteOrder"] = "deleteOrder"
    retention_days: int = Field(
        alias="retentionDays", strict=True, ge=MIN_RETENTION_DAYS, le=MAX_RETENTION_DAYS
    )


class StockReserved(OrderMessage, extra="ignore"):
    """Stock's answer to a reserve: the whole line, or nothing."""

    # An order counts it once, however late it is repeated. So the row of its reservation
    # need not wait for it.
    deferred: ClassVar[bool] = True

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
    | DeleteOrder
    | StockReserved,
    Field(discriminator="type"),
]

# Replies and events


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
    """An event: a status that an order took, and when (RFC 3339, UTC)."""

    type: Literal["orderStatusChanged"] = "orderStatusChanged"
    user: UserId
    status: Status
    items: tuple[Item, ...]
    at: Annotated[datetime, AfterValidator(_require_utc)]

    @property
    def event_id(self) -> str:
        """The identity of the event, which may be delivered more than once."""
        return f"{self.order_id}:{self.status}"
