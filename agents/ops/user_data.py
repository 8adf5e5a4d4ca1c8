"""Data of a user: what the tables hold now, and what Kafka retains after an erasure.

A partition of each changelog has all rows of the user. Kafka deletes no single record of a
log: retention deletes whole files, and compaction deletes rows with newer versions.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from agents.loms.order import Order
from agents.ops.requests import newest_rows
from schemas.contract import SHARDS
from topics.catalog import (
    CARTS_CHANGELOG,
    ORDERS_CHANGELOG,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    TOPICS,
)
from topics.cli import CommandError
from topics.kafka.reader import TopicReader
from topics.topic import TopicKind

DELETION_DELAY = timedelta(minutes=10)
"""A broker checks every five minutes, and deletes files a minute later."""

_ORDER = TypeAdapter(Order)
_LOGS = {
    TopicKind.REQUESTS: "requests",
    TopicKind.EVENTS: "events of orders",
    TopicKind.REPLIES: "replies",
    TopicKind.DEAD_LETTERS: "dead letters",
}
_PERMANENT = {
    ORDERS_CHANGELOG: "orders, anonymized",
    STOCK_CHANGELOG: "stock of orders, by orderID",
    SENT_CHANGELOG: "sent and pending notifications, by orderID",
}
_COMPACTION = ("max.compaction.lag.ms", "min.compaction.lag.ms")
"""A file is closed within the first, and compacted later than the second."""

Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UserData:
    """Rows of a user.

    Attributes:
        cart: whether there is a cart row, also one of an empty cart.
        orders: the orders that are not anonymized.
    """

    cart: bool
    orders: list[Order]

    def __bool__(self) -> bool:
        return self.cart or bool(self.orders)

    def __str__(self) -> str:
        statuses = Counter(str(order.status) for order in self.orders)
        counts = ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))
        cart = "a cart" if self.cart else "no cart"
        return f"{cart}, {orders(len(self.orders))}{f' ({counts})' if counts else ''}"


def orders(count: int) -> str:
    """Return a number of orders as text."""
    return "1 order" if count == 1 else f"{count} orders"


async def user_data(user: int, reader: TopicReader) -> UserData:
    """Return the rows of a user, from the changelogs.

    Raises:
        CommandError: an order of the user is invalid.
    """
    key, field = str(user).encode(), f'"user":{user},'.encode()
    carts = await newest_rows(reader, CARTS_CHANGELOG, key, lambda row: row.key == key)
    rows = await newest_rows(
        reader,
        ORDERS_CHANGELOG,
        str(user % SHARDS).encode(),
        lambda row: field in (row.value or b""),
    )
    found = [_order(row.key, row.value) for row in rows if row.value]
    return UserData(
        cart=any(row.value for row in carts),
        orders=[o for o in found if o.user == user and not o.anonymized],
    )


def _order(key: bytes, row: bytes) -> Order:
    try:
        return _ORDER.validate_json(row)
    except ValidationError:
        name = key.decode(errors="backslashreplace")
        raise CommandError(f"{ORDERS_CHANGELOG.name}: the row {name} is invalid") from None


def retained_data(
    settings: Mapping[str, Settings], now: datetime
) -> Iterator[tuple[str, str, datetime | None]]:
    """Yield the data that Kafka retains of an erased user.

    Args:
        settings: of each topic, by its name, as they are in force.
        now: the time of the erasure.

    Yields:
        A topic, its data, and the latest time of their deletion; None: never.
    """
    for topic in TOPICS:
        if what := _LOGS.get(topic.kind):
            until = _later(settings[topic.name], now, "segment.ms", "retention.ms")
            yield topic.name, what, until
    for topic in (CARTS_CHANGELOG, ORDERS_CHANGELOG):
        until = _later(settings[topic.name], now, *_COMPACTION)
        yield topic.name, "earlier versions of rows", until
    # A tombstone is deleted by another compaction, some time after the first one.
    twice = (*_COMPACTION, "delete.retention.ms", *_COMPACTION)
    until = _later(settings[CARTS_CHANGELOG.name], now, *twice)
    yield CARTS_CHANGELOG.name, "the user's number alone", until
    for topic, what in _PERMANENT.items():
        yield topic.name, what, None


def _later(settings: Settings, now: datetime, *names: str) -> datetime | None:
    """Return when Kafka has deleted what is written now; None: never."""
    periods = [int(settings[name]) for name in names]
    try:
        until = now + timedelta(milliseconds=sum(periods)) + DELETION_DELAY
    except OverflowError:  # Kafka's maximum stands for "never", as -1 does
        return None
    return until if min(periods) >= 0 else None
