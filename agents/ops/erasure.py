"""Forgetting a user: his cart first, then each order, until a look finds nothing of him."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from agents.loms.order import OPEN, Order
from agents.ops.cli import CommandError
from agents.ops.commits import LOOK_SECONDS, wait_until_committed
from agents.ops.replies import RefusedReply, refusal
from agents.ops.user_data import user_data
from agents.runtime.producer import ProducerRecord
from schemas.cart import EraseCart
from schemas.contract import Code, Contract
from schemas.ids import SHARDS
from schemas.order import AnonymizeOrder, CancelOrder, ListOrder
from topics.catalog import ORDER_REQUESTS, TOPIC_OF
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import RequestReplyClient
from topics.topic import Topic

_PASSING = (Code.WRONG_STATUS, Code.UNAVAILABLE, Code.UNKNOWN_ORDER)
"""Refusals that may not be repeated: something is still under way."""


class Erasure:
    """Has the shop forget a user.

    Args:
        caller: asks the shop to.
        logs: tell what there is of him.
        user: who is to be forgotten.
        patience: how long a reply, or what is under way, is waited for.
        cancel: whether orders that are not over may be cancelled.

    Attributes:
        orders: numbers of those that are nobody's now.
        left: what was refused at last, a line each.
    """

    def __init__(
        self,
        caller: RequestReplyClient,
        logs: TopicReader,
        user: int,
        patience: timedelta,
        *,
        cancel: bool,
    ) -> None:
        self._caller = caller
        self._logs = logs
        self._user = user
        self._patience = patience.total_seconds()
        self._cancel = cancel
        self.orders: set[int] = set()
        self.left: list[str] = []

    async def run(self) -> bool:
        """Forget what there is; orders that are not over are cancelled, if they may be.

        Returns:
            Whether nothing is left.

        Raises:
            CannotError: nobody answers.
        """
        deadline = monotonic() + self._patience
        while not await self._is_done():
            if monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def _is_done(self) -> bool:
        """Forget, and look whether there is anything left."""
        self.left = [line async for line in self._forget()]
        return not (self.left or await user_data(self._logs, self._user))

    async def _forget(self) -> AsyncIterator[str]:
        """Yield what is refused.

        A cart with a purchase under way is: so when it is forgotten all of its orders are
        there, and have told it how they ended.
        """
        if no := await self._ask(EraseCart(user=self._user)):
            yield f"the cart: {no}"
            return
        await self._orders_are_there()
        for order in (await user_data(self._logs, self._user)).orders:
            if no := await self._forget_order(order):
                yield f"order {order.order_id}: {no}"
            else:
                self.orders.add(order.order_id)

    async def _forget_order(self, order: Order) -> RefusedReply | None:
        if order.status in OPEN:
            if not self._cancel:
                return RefusedReply(
                    Code.WRONG_STATUS, f"it is {order.status}; --cancel cancels it"
                )
            no = await self._ask(CancelOrder(order_id=order.order_id))
            if no is not None:
                return no
        return await self._ask(AnonymizeOrder(order_id=order.order_id))

    async def _orders_are_there(self) -> None:
        """Wait until LOMS has done all that was asked of the user's shard so far."""
        question = _record(ListOrder(order_id=self._user % SHARDS))
        async with self._patiently(ORDER_REQUESTS), self._caller.request(question) as sent:
            at, _ = sent
            await wait_until_committed(self._logs, ORDER_REQUESTS, at)

    async def _ask(self, request: Contract) -> RefusedReply | None:
        topic = TOPIC_OF[type(request)]
        async with self._patiently(topic), self._caller.request(_record(request)) as sent:
            _, call = sent
            no = refusal(await call.reply)
        if no is not None and no.code not in _PASSING:
            raise CommandError(f"{topic.name}: {no}")
        return no

    @asynccontextmanager
    async def _patiently(self, topic: Topic) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError:
            text = f"{topic.name}: nobody answers within {self._patience:g} s"
            raise CommandError(f"{text}; run it again when somebody does") from None


def _record(request: Contract) -> ProducerRecord:
    topic = TOPIC_OF[type(request)]
    return ProducerRecord(topic.name, topic.key_of(request), request.to_json(), [])
