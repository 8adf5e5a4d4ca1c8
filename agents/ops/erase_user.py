"""Erase a user, on the cluster of the shop.

    python -m agents forget USER [--cancel] [--yes]

The command erases the cart with its history. It anonymizes each order: the order keeps the
goods for the accounts, and later requests get "unknown-order". Open orders prevent the
erasure, unless `--cancel` cancels them. The output lists the data that Kafka retains, and
until when: Kafka deletes no single record of a log. Another run after an interruption is
safe.

Exit code: 0 the user is erased; 1 not; 2 wrong usage; 130 interrupted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic

import click
from pydantic import TypeAdapter, ValidationError

from agents.loms.order import OPEN, Order
from agents.ops.requests import (
    POLL_SECONDS,
    RefusedReply,
    RequestOptions,
    refusal,
    request_options,
    wait_until_committed,
)
from agents.ops.user_data import Settings, UserData, orders, retained_data, user_data
from agents.runtime.producer import ProducerRecord
from schemas.cart import EraseCart
from schemas.contract import Code, Contract, UserId
from schemas.ids import SHARDS
from schemas.order import AnonymizeOrder, CancelOrder, ListOrder
from topics.admin import settings_of
from topics.catalog import ORDER_REQUESTS, TOPIC_OF, TOPICS
from topics.cli import (
    FAILED,
    OK,
    CommandError,
    answer,
    confirm,
    echo,
    echo_error,
    on_cluster,
    paragraphs,
    require_terminal,
)
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.topic import Topic

_ELSEWHERE = """\
REQUEST_RETENTION_HOURS limits how long requests stay (python -m topics create).
Elsewhere: sent mails and webhooks, logs and traces, the list of NOTIFY_OPT_OUT, topics of
clients, and the bare number in files of workers until they are rebuilt.
Kafka compacts no partition without new records."""

_TEMPORARY = (Code.WRONG_STATUS, Code.UNAVAILABLE, Code.UNKNOWN_ORDER)
"""Refusals that may end: a purchase or a cancellation is still in progress."""


class Erasure:
    """Erases a user: first the cart, then each order, until no row is left.

    Args:
        client: sends the requests.
        reader: reads the rows of the user.
        user: the user to erase.
        timeout: for a reply, and for work in progress.
        cancel: whether open orders may be cancelled.

    Attributes:
        orders: numbers of the anonymized orders.
        left: the last refusals, a line each.
    """

    def __init__(
        self,
        client: RequestReplyClient,
        reader: TopicReader,
        user: int,
        timeout: timedelta,
        *,
        cancel: bool,
    ) -> None:
        self._client = client
        self._reader = reader
        self._user = user
        self._timeout_seconds = timeout.total_seconds()
        self._cancel = cancel
        self.orders: set[int] = set()
        self.left: list[str] = []

    async def run(self) -> bool:
        """Erase all rows; return whether none is left within the timeout.

        Raises:
            CommandError: a request gets no reply, or a refusal that will not change.
        """
        deadline = monotonic() + self._timeout_seconds
        while not await self._is_done():
            if monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def _is_done(self) -> bool:
        """Erase, and return whether there is no row left."""
        self.left = [line async for line in self._erase()]
        return not (self.left or await user_data(self._reader, self._user))

    async def _erase(self) -> AsyncIterator[str]:
        """Yield refusals.

        A cart with a purchase in progress is refused. So after the erasure of the cart all
        its orders exist, and the cart has received their outcome.
        """
        if refused := await self._request(EraseCart(user=self._user)):
            yield f"the cart: {refused}"
            return
        await self._wait_for_orders()
        for order in (await user_data(self._reader, self._user)).orders:
            if refused := await self._anonymize(order):
                yield f"order {order.order_id}: {refused}"
            else:
                self.orders.add(order.order_id)

    async def _anonymize(self, order: Order) -> RefusedReply | None:
        if order.status in OPEN:
            if not self._cancel:
                return RefusedReply(
                    Code.WRONG_STATUS, f"it is {order.status}; --cancel cancels it"
                )
            refused = await self._request(CancelOrder(order_id=order.order_id))
            if refused is not None:
                return refused
        return await self._request(AnonymizeOrder(order_id=order.order_id))

    async def _wait_for_orders(self) -> None:
        """Wait until LOMS has committed all earlier requests of the user's shard."""
        query = _record(ListOrder(order_id=self._user % SHARDS))
        async with self._limit(ORDER_REQUESTS), self._client.request(query) as (sent, _):
            await wait_until_committed(self._reader, ORDER_REQUESTS, sent)

    async def _request(self, request: Contract) -> RefusedReply | None:
        topic, record = TOPIC_OF[type(request)], _record(request)
        async with self._limit(topic), self._client.request(record) as (_, pending):
            refused = refusal(await pending.reply)
        if refused is not None and refused.code not in _TEMPORARY:
            raise CommandError(f"{topic.name}: {refused}")
        return refused

    @asynccontextmanager
    async def _limit(self, topic: Topic) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError:
            text = f"{topic.name}: no reply within {self._timeout_seconds:g} s"
            raise CommandError(f"{text}; run the command again later") from None


def _record(request: Contract) -> ProducerRecord:
    topic = TOPIC_OF[type(request)]
    return ProducerRecord(topic.name, topic.key_of(request), request.to_json(), [])


def _user(text: str) -> int:
    try:
        return TypeAdapter[int](UserId).validate_json(text)
    except ValidationError:
        raise click.BadParameter(f"{text!r} is no user: an int64") from None


# Without `ignore_unknown_options` a negative USER would be an unknown option.
@click.command(help=paragraphs(__doc__), context_settings={"ignore_unknown_options": True})
@click.argument("user", type=_user)
@click.option("--cancel", is_flag=True, help="Cancel open orders.")
@click.option("--yes", is_flag=True, help="Erase without a confirmation.")
@request_options
@on_cluster("forget")
def forget(
    target: Target, *, user: int, cancel: bool, yes: bool, requests: RequestOptions
) -> int:
    """Erase a user after a confirmation."""
    if not yes:
        require_terminal()
    data = answer(target, partial(_read, user))
    echo(f"user {user}: {data}")
    still_open = [order for order in data.orders if order.status in OPEN]
    if still_open and not cancel:
        for order in still_open:
            echo_error(f"forget: order {order.order_id} is {order.status}")
        echo_error("forget: orders are open; --cancel cancels them. Nothing was done")
        return FAILED
    if not yes and not confirm(f"Erase user {user}? It can't be undone."):
        echo_error("forget: nothing was done")
        return FAILED
    return answer(target, partial(_run, user, requests, cancel))


async def _read(user: int, cluster: KafkaSettings) -> UserData:
    async with TopicReader(cluster) as reader:
        return await user_data(reader, user)


async def _run(
    user: int, requests: RequestOptions, cancel: bool, cluster: KafkaSettings
) -> int:
    settings = await settings_of(cluster, TOPICS)
    if missing := {topic.name for topic in TOPICS} - settings.keys():
        names = ", ".join(sorted(missing))
        raise CommandError(f"there are no topics {names}, or no right to see them")
    async with (
        TopicReader(cluster) as reader,
        RequestReplyClient(cluster, requests.replies) as client,
    ):
        erasure = Erasure(client, reader, user, requests.timeout, cancel=cancel)
        if not await erasure.run():
            for line in (*erasure.left, "not all is erased; run the command again"):
                echo_error(f"forget: {line}")
            return FAILED
    echo(f"erased: the cart, {orders(len(erasure.orders))}")
    echo("Kafka retains, until the given time at the latest:")
    for line in _retained(settings):
        echo(line)
    return OK


def _retained(settings: Mapping[str, Settings]) -> Iterator[str]:
    for topic, what, until in retained_data(settings, datetime.now(UTC)):
        end = "stays" if until is None else f"{until:%Y-%m-%d %H:%M} UTC"
        yield f"  {topic:<28}  {what:<36}  {end}"
    yield from _ELSEWHERE.splitlines()
