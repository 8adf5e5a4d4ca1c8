"""Erase a user, on the cluster of the shop.

    python -m agents forget USER [--cancel] [--yes]

The command erases the cart with its history. It anonymizes each order: the order keeps the
lines for the accounts, and later requests get "unknown-order". Open orders prevent the
erasure, unless `--cancel` cancels them. The output lists what Kafka retains, and until
when, since Kafka deletes no single record. Another run after an interruption is safe.

Exit code: 0 the user is erased; 1 not; 2 wrong usage; 130 interrupted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import click
from msgspec import DecodeError
from pydantic import TypeAdapter

from agents.loms.order import OPEN, Order
from agents.loms.stock import RETENTION
from agents.ops import requests
from agents.ops.requests import RefusedReply, RequestOptions, newest_rows
from agents.row_serde import RowSerde
from agents.runtime.sweeper import MARGIN
from schemas.cart import EraseCart
from schemas.contract import SHARDS, Code, Contract, UserId
from schemas.order import AnonymizeOrder, CancelOrder, ListOrder
from topics import cli
from topics.admin import describe
from topics.catalog import (
    CARTS_CHANGELOG,
    ORDERS_CHANGELOG,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    TOPIC_OF,
    TOPICS,
)
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.topic import EVENT_RETENTION, Topic, TopicKind

DELETION_DELAY = timedelta(minutes=10)
"""A broker checks every five minutes, and deletes files a minute later."""

_USER, _ORDERS = TypeAdapter[int](UserId), RowSerde(Order)
_LOGS = {
    TopicKind.REQUESTS: "requests",
    TopicKind.EVENTS: "events of orders",
    TopicKind.REPLIES: "replies",
    TopicKind.DEAD_LETTERS: "dead letters",
}
# A file is closed within the first, and compacted later than the second.
_COMPACTION = ("max.compaction.lag.ms", "min.compaction.lag.ms")
# A tombstone is deleted by another compaction, some time after the first one.
_TOMBSTONE = (*_COMPACTION, "delete.retention.ms", *_COMPACTION)
_RETAINED: tuple[tuple[Topic, str, tuple[str, ...]], ...] = (
    *(
        (topic, _LOGS[topic.kind], ("segment.ms", "retention.ms"))
        for topic in TOPICS
        if topic.kind in _LOGS
    ),
    (CARTS_CHANGELOG, "earlier versions of rows", _COMPACTION),
    (ORDERS_CHANGELOG, "earlier versions of rows", _COMPACTION),
    (CARTS_CHANGELOG, "the user's number alone", _TOMBSTONE),
    (ORDERS_CHANGELOG, "orders, anonymized", ()),
    (STOCK_CHANGELOG, "stock of orders, by orderID", _TOMBSTONE),
    (SENT_CHANGELOG, "sent notifications, by orderID", _TOMBSTONE),
)
"""Data of an erased user, and the settings that add up to its retention; (): for ever."""
_KEPT = {STOCK_CHANGELOG: RETENTION + MARGIN, SENT_CHANGELOG: EVENT_RETENTION + MARGIN}

_ELSEWHERE = """\
REQUEST_RETENTION_HOURS limits how long requests stay (python -m topics create), and
ORDER_RETENTION_DAYS how long orders do.
Elsewhere: mails and webhooks, sent and pending ones; logs and traces; the list of
NOTIFY_OPT_OUT; topics of clients; checkpoints of the audit; the bare number in workers'
files until they are rebuilt.
Kafka compacts no partition without new records, nor do workers delete its rows."""

_TEMPORARY = (Code.WRONG_STATUS, Code.UNAVAILABLE, Code.UNKNOWN_ORDER)
"""Refusals that may end: a purchase or a cancellation is still in progress."""


async def _user_data(user: int, reader: TopicReader) -> tuple[bool, list[Order]]:
    """Return whether a user has a cart row, and the orders that are not anonymized."""
    key, shard = (str(number).encode() for number in (user, user % SHARDS))
    carts = await newest_rows(reader, CARTS_CHANGELOG, key, lambda row: row.key == key)
    owned = f'"user":{user},'.encode()
    rows = await newest_rows(
        reader, ORDERS_CHANGELOG, shard, lambda row: owned in (row.value or b"")
    )
    orders = [_order(row.key, row.value) for row in rows if row.value]
    known = [order for order in orders if order.user == user and not order.anonymized]
    return any(row.value for row in carts), known


def _order(key: bytes, row: bytes) -> Order:
    try:
        order: Order = _ORDERS.deserialize(row)
    except DecodeError:
        name = key.decode(errors="backslashreplace")
        text = f"{ORDERS_CHANGELOG.name}: the row {name} is invalid"
        raise cli.CommandError(text) from None
    return order


def _count(orders: Collection[object]) -> str:
    return "1 order" if len(orders) == 1 else f"{len(orders)} orders"


def retained_data(
    settings: Mapping[str, Mapping[str, str]], now: datetime
) -> Iterator[tuple[str, str, datetime | None]]:
    """Yield topics, their data of an erased user, and when it is deleted; None: never."""
    for topic, what, names in _RETAINED:
        periods, until = [int(settings[topic.name][name]) for name in names], None
        if periods and min(periods) >= 0:
            with suppress(OverflowError):  # Kafka's maximum stands for "never", as -1 does
                until = now + timedelta(milliseconds=sum(periods)) + DELETION_DELAY
                until += _KEPT.get(topic, timedelta())
        yield topic.name, what, until


@dataclass(frozen=True, slots=True)
class _Erasure:
    """Erases a user: first the cart, then each order, until no row is left."""

    client: RequestReplyClient
    reader: TopicReader
    user: int
    seconds: float
    cancel: bool
    anonymized: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Erase all rows; raise a CommandError if that fails, or rows are left."""
        deadline = monotonic() + self.seconds
        while True:
            refused = [line async for line in self._erase()]
            if not refused and not any(await _user_data(self.user, self.reader)):
                return
            if monotonic() > deadline:
                raise cli.CommandError(*refused, "not all is erased; run the command again")
            await asyncio.sleep(requests.POLL_SECONDS)

    async def _erase(self) -> AsyncIterator[str]:
        """Yield refusals.

        A cart with a purchase in progress is refused. So after the erasure of the cart all
        its orders exist, and the cart has received their outcome.
        """
        if refused := await self._request(EraseCart(user=self.user)):
            yield f"the cart: {refused}"
            return
        # Its commit follows that of all earlier requests of the user's shard.
        await self._request(ListOrder(order_id=self.user % SHARDS), until_committed=True)
        for order in (await _user_data(self.user, self.reader))[1]:
            if refused := await self._anonymize(order):
                yield f"order {order.order_id}: {refused}"
            else:
                self.anonymized.add(order.order_id)

    async def _anonymize(self, order: Order) -> RefusedReply | None:
        refused = None
        if order.status in OPEN and self.cancel:
            refused = await self._request(CancelOrder(order_id=order.order_id))
        elif order.status in OPEN:
            text = f"it is {order.status}; --cancel cancels it"
            refused = RefusedReply(Code.WRONG_STATUS, text)
        return refused or await self._request(AnonymizeOrder(order_id=order.order_id))

    async def _request(
        self, request: Contract, *, until_committed: bool = False
    ) -> RefusedReply | None:
        topic = TOPIC_OF[type(request)]
        try:
            async with (
                asyncio.timeout(self.seconds),
                self.client.request(requests.record_of(request)) as (sent, pending),
            ):
                refused = requests.refusal(await pending.reply)
                if until_committed:
                    await requests.wait_until_committed(self.reader, topic, sent)
        except TimeoutError:
            text = f"{topic.name}: no reply within {self.seconds:g} s"
            raise cli.CommandError(f"{text}; run the command again later") from None
        if refused is not None and refused.code not in _TEMPORARY:
            raise cli.CommandError(f"{topic.name}: {refused}")
        return refused


# Without `ignore_unknown_options` a negative USER would be an unknown option.
@click.command(
    help=cli.paragraphs(__doc__), context_settings={"ignore_unknown_options": True}
)
@click.argument("user", type=cli.parsed(_USER.validate_json, "a user: an int64"))
@click.option("--cancel", is_flag=True, help="Cancel open orders.")
@click.option("--yes", is_flag=True, help="Erase without a confirmation.")
@requests.request_options
@cli.on_cluster("forget")
def forget(
    target: Target, *, user: int, cancel: bool, yes: bool, options: RequestOptions
) -> int:
    """Erase a user after a confirmation."""
    if not yes:
        cli.require_terminal()
    has_cart, orders = cli.read(target, partial(_user_data, user))
    statuses = Counter(str(order.status) for order in orders)
    counts = ", ".join(f"{statuses[status]} {status}" for status in sorted(statuses))
    found = f"{'a' if has_cart else 'no'} cart, {_count(orders)}"
    cli.echo(f"user {user}: {found} ({counts})" if counts else f"user {user}: {found}")
    still_open = [f"order {o.order_id} is {o.status}" for o in orders if o.status in OPEN]
    if still_open and not cancel:
        text = "orders are open; --cancel cancels them. Nothing was done"
        raise cli.CommandError(*still_open, text)
    if not (yes or cli.confirm(f"Erase user {user}? It can't be undone.")):
        raise cli.CommandError("nothing was done")
    cli.echo(*cli.answer(target, partial(_erase, user, options, cancel)))
    return cli.OK


async def _erase(
    user: int, options: RequestOptions, cancel: bool, cluster: KafkaSettings
) -> list[str]:
    """Erase a user; return the lines about it, and about the data that Kafka retains."""
    existing = await describe(cluster)
    if missing := ", ".join(sorted(t.name for t in TOPICS if t not in existing)):
        raise cli.CommandError(f"there are no topics {missing}, or no right to see them")
    settings = {topic.name: found.config for topic, found in existing.items()}
    async with (
        TopicReader(cluster) as reader,
        RequestReplyClient(cluster, options.replies) as client,
    ):
        erasure = _Erasure(client, reader, user, options.timeout.total_seconds(), cancel)
        await erasure.run()
    rows = [
        (f"  {topic}", what, f"{until:%Y-%m-%d %H:%M} UTC" if until else "stays")
        for topic, what, until in retained_data(settings, datetime.now(UTC))
    ]
    return [
        f"erased: the cart, {_count(erasure.anonymized)}",
        "Kafka retains, until the given time at the latest:",
        *cli.table(rows, "<<<"),
        *_ELSEWHERE.splitlines(),
    ]
