"""What the tables have of a user: his cart, and the orders that are still his.

It is read from the changelogs: a partition of each holds all of it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from agents.loms.order import Order
from agents.ops.cli import CommandError
from agents.runtime.recovery import decode_row, supersedes
from agents.runtime.state_store import Row
from schemas.ids import SHARDS
from topics.catalog import CARTS_CHANGELOG, ORDERS_CHANGELOG
from topics.kafka.reader import TopicReader
from topics.topic import Topic

_ORDER = TypeAdapter(Order)


@dataclass(frozen=True, slots=True)
class UserData:
    """What there is of a user.

    Attributes:
        cart: whether he has one, be it empty: it remembers what he did.
        orders: those that know that they are his.
    """

    cart: bool
    orders: list[Order]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self.cart or bool(self.orders)

    def __str__(self) -> str:
        """Say it in a line."""
        statuses = Counter(str(order.status) for order in self.orders)
        told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        cart = "a cart" if self.cart else "no cart"
        return f"{cart}, {orders(len(self.orders))}{f' ({told})' if told else ''}"


def orders(count: int) -> str:
    """Say how many orders."""
    return "1 order" if count == 1 else f"{count} orders"


async def user_data(logs: TopicReader, user: int) -> UserData:
    """Look for what there is of a user now.

    Raises:
        CannotError: an order of his can't be read.
    """
    key, his = str(user).encode(), f'"user":{user},'.encode()
    carts = await _newest(logs, CARTS_CHANGELOG, user, lambda row: row.key == key)
    shard = user % SHARDS
    rows = await _newest(
        logs, ORDERS_CHANGELOG, shard, lambda row: his in (row.value or b"")
    )
    known = [_read(row.key, row.value) for row in rows if row.value]
    return UserData(
        cart=any(row.value for row in carts),
        orders=[o for o in known if o.user == user and not o.anonymized],
    )


def _read(key: bytes, row: bytes) -> Order:
    try:
        return _ORDER.validate_json(row)
    except ValidationError:
        name = key.decode(errors="backslashreplace")
        raise CommandError(
            f"{ORDERS_CHANGELOG.name}: the row {name} can't be read"
        ) from None


async def _newest(
    logs: TopicReader, topic: Topic, key: int, matches: Callable[[Row], bool]
) -> Iterable[Row]:
    """Return of each row that ever matched what it is now, as a worker that recovers."""
    rows: dict[bytes, Row] = {}
    async for record in logs.read_partition_of(topic, str(key).encode()):
        row = decode_row(record)
        known = rows.get(row.key)
        if matches(row) if known is None else supersedes(row, known):
            rows[row.key] = row
    return rows.values()
