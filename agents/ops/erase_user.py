"""Erase a user, on the cluster of the shop.

    python -m agents forget USER [--cancel] [--yes]

The command erases the cart with its history. It anonymizes each order: the order keeps the
lines for the accounts, and later requests get "unknown-order". Open orders prevent the
erasure, unless `--cancel` cancels them. The output lists the data that Kafka retains, and
until when: Kafka deletes no single record of a log. Another run after an interruption is
safe.

Exit code: 0 the user is erased; 1 not; 2 wrong usage; 130 interrupted.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import click
from pydantic import TypeAdapter

from agents.loms.order import OPEN, Order
from agents.ops import requests
from agents.ops.requests import RefusedReply, RequestOptions
from agents.ops.user_data import orders, retained_data, user_data
from schemas.cart import EraseCart
from schemas.contract import SHARDS, Code, Contract, UserId
from schemas.order import AnonymizeOrder, CancelOrder, ListOrder
from topics import cli
from topics.admin import describe
from topics.catalog import TOPIC_OF, TOPICS
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target

_USER = TypeAdapter[int](UserId)
_ELSEWHERE = """\
REQUEST_RETENTION_HOURS limits how long requests stay (python -m topics create).
Elsewhere: sent mails and webhooks, logs and traces, the list of NOTIFY_OPT_OUT, topics of
clients, and the bare number in files of workers until they are rebuilt.
Kafka compacts no partition without new records."""

_TEMPORARY = (Code.WRONG_STATUS, Code.UNAVAILABLE, Code.UNKNOWN_ORDER)
"""Refusals that may end: a purchase or a cancellation is still in progress."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """Erases a user: first the cart, then each order, until no row is left.

    Attributes:
        timeout: for a reply, and for work in progress.
        orders: numbers of the anonymized orders.
    """

    client: RequestReplyClient
    reader: TopicReader
    user: int
    timeout: timedelta
    cancel: bool
    orders: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Erase all rows.

        Raises:
            CommandError: a request gets no reply, or a refusal that will not change; or
                rows are left after the timeout.
        """
        deadline = monotonic() + self.timeout.total_seconds()
        while True:
            refused = [line async for line in self._erase()]
            if not refused and not await user_data(self.user, self.reader):
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
        for order in (await user_data(self.user, self.reader)).orders:
            if refused := await self._anonymize(order):
                yield f"order {order.order_id}: {refused}"
            else:
                self.orders.add(order.order_id)

    async def _anonymize(self, order: Order) -> RefusedReply | None:
        if order.status in OPEN:
            if not self.cancel:
                return RefusedReply(
                    Code.WRONG_STATUS, f"it is {order.status}; --cancel cancels it"
                )
            refused = await self._request(CancelOrder(order_id=order.order_id))
            if refused is not None:
                return refused
        return await self._request(AnonymizeOrder(order_id=order.order_id))

    async def _request(
        self, request: Contract, *, until_committed: bool = False
    ) -> RefusedReply | None:
        topic, seconds = TOPIC_OF[type(request)], self.timeout.total_seconds()
        try:
            async with (
                asyncio.timeout(seconds),
                self.client.request(requests.record_of(request)) as (sent, pending),
            ):
                refused = requests.refusal(await pending.reply)
                if until_committed:
                    await requests.wait_until_committed(self.reader, topic, sent)
        except TimeoutError:
            text = f"{topic.name}: no reply within {seconds:g} s"
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
    data = cli.read(target, partial(user_data, user))
    cli.echo(f"user {user}: {data}")
    still_open = [order for order in data.orders if order.status in OPEN]
    if still_open and not cancel:
        raise cli.CommandError(
            *(f"order {order.order_id} is {order.status}" for order in still_open),
            "orders are open; --cancel cancels them. Nothing was done",
        )
    if not (yes or cli.confirm(f"Erase user {user}? It can't be undone.")):
        raise cli.CommandError("nothing was done")
    cli.echo(*cli.answer(target, partial(_erase, user, options, cancel)))
    return cli.OK


async def _erase(
    user: int, options: RequestOptions, cancel: bool, cluster: KafkaSettings
) -> list[str]:
    """Erase a user; return the lines about it, and about the data that Kafka retains."""
    existing = await describe(cluster)
    settings = {topic.name: found.config for topic, found in existing.items()}
    if missing := {topic.name for topic in TOPICS} - settings.keys():
        names = ", ".join(sorted(missing))
        raise cli.CommandError(f"there are no topics {names}, or no right to see them")
    async with (
        TopicReader(cluster) as reader,
        RequestReplyClient(cluster, options.replies) as client,
    ):
        erasure = Erasure(client, reader, user, options.timeout, cancel)
        await erasure.run()
    rows = [
        (f"  {topic}", what, f"{until:%Y-%m-%d %H:%M} UTC" if until else "stays")
        for topic, what, until in retained_data(settings, datetime.now(UTC))
    ]
    return [
        f"erased: the cart, {orders(len(erasure.orders))}",
        "Kafka retains, until the given time at the latest:",
        *cli.table(rows, "<<<"),
        *_ELSEWHERE.splitlines(),
    ]
