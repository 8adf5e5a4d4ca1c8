"""Shoppers that send requests until each is answered, and record the expected results."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.e2e.clients import ShopClient
from tests.e2e.ids import IdFactory
from tests.e2e.waiting import until

OPEN, PAID, CANCELLED, FAILED = "awaiting payment", "paid", "cancelled", "failed"

Step = Callable[[], Awaitable[None]]


@dataclass
class Assortment:
    """The products that the shoppers buy.

    Attributes:
        plenty: skus with enough units for all.
        never: a sku without units.
        received: received units by sku and warehouse.
    """

    plenty: Sequence[int]
    never: int
    received: dict[int, Counter[int]]


@dataclass
class Shopper:
    """A user that makes one call after the other, and retries each until it is answered.

    Attributes:
        lines: the expected cart.
        orders: the user's orders, each with its expected status and counts.
        steps: the number of answered calls.
        tired: whether the shopper stops before the next call.
    """

    user: int
    clients: Sequence[ShopClient]
    assortment: Assortment
    chance: random.Random
    lines: Counter[int] = field(default_factory=Counter)
    orders: dict[int, tuple[str, dict[int, int]]] = field(default_factory=dict)
    steps: int = 0
    tired: bool = False

    async def shop(self) -> None:
        """Make calls until `tired` is set."""
        while not self.tired:
            await self.chance.choice(self.choices())()
            self.steps += 1

    def choices(self) -> list[Step]:
        """Return the possible next calls; a call in it twice is twice as likely."""
        calls = [self._add, self._add, self._receive, self._create, self._fail, self._look]
        calls += [self._delete, self._purchase, self._purchase] if self.lines else []
        calls += [self._pay, self._cancel] * 2 if self._open() else []
        return calls

    async def _ask(self, call: str, **body) -> dict:
        client = self.chance.choice(self.clients)
        answer = await client.ask_until_answered(call, IdFactory.key(), **body)
        assert answer.code is None, (call, body, answer)
        return answer.reply

    async def _add(self) -> None:
        sku, count = self.chance.choice(self.assortment.plenty), self.chance.randint(1, 3)
        await self._ask("addToCart", user=self.user, sku=sku, count=count)
        self.lines[sku] += count

    async def _delete(self) -> None:
        sku = self.chance.choice(sorted(self.lines))
        await self._ask("deleteFromCart", user=self.user, sku=sku, count=1)
        self.lines -= Counter({sku: 1})

    async def _purchase(self) -> None:
        reply = await self._ask("purchase", user=self.user)
        assert reply["orderID"] not in self.orders
        self.orders[reply["orderID"]] = OPEN, dict(self.lines)
        self.lines.clear()

    async def _create(self) -> None:
        skus = self.chance.sample(self.assortment.plenty, 2)
        await self._order(OPEN, dict.fromkeys(skus, 2))

    async def _fail(self) -> None:
        await self._order(
            FAILED,
            {self.chance.choice(self.assortment.plenty): 1, self.assortment.never: 1},
        )

    async def _order(self, status: str, lines: dict[int, int]) -> None:
        items = [{"sku": sku, "count": count} for sku, count in lines.items()]
        reply = await self._ask("createOrder", user=self.user, items=items)
        assert reply["orderID"] not in self.orders
        self.orders[reply["orderID"]] = status, lines

    async def _pay(self) -> None:
        await self._end("orderPayed", PAID)

    async def _cancel(self) -> None:
        await self._end("cancelOrder", CANCELLED)

    async def _end(self, call: str, status: str) -> None:
        order = self.chance.choice(self._open())
        await self._ask(call, orderID=order)
        self.orders[order] = status, self.orders[order][1]

    async def _receive(self) -> None:
        sku, place = self.chance.choice(self.assortment.plenty), self.chance.randint(1, 3)
        await self._ask("receiveStock", sku=sku, warehouseID=place, count=7)
        self.assortment.received[sku][place] += 7

    async def _look(self) -> None:
        client = self.chance.choice(self.clients)
        answer = await client.ask_until_answered(
            "listCart", IdFactory.key(), user=self.user
        )
        assert answer.code in (None, "product-service"), answer
        if answer.code is None:
            shown = {item["sku"]: item["count"] for item in answer.reply["items"]}
            assert shown == self.lines

    def _open(self) -> list[int]:
        return [order for order, (status, _) in self.orders.items() if status == OPEN]


class ShopperPool:
    """Shoppers that work in parallel."""

    def __init__(self, shoppers: Sequence[Shopper]) -> None:
        self.shoppers = shoppers
        self._at_work = [asyncio.create_task(shopper.shop()) for shopper in shoppers]

    async def complete(self, steps: int) -> None:
        """Wait until each shopper has made a number of further calls."""
        goals = {shopper.user: shopper.steps + steps for shopper in self.shoppers}

        def all_done() -> bool:
            for task in self._at_work:
                if task.done():
                    task.result()  # raises the reason of its end
            return all(shopper.steps >= goals[shopper.user] for shopper in self.shoppers)

        await until(all_done, f"{steps} calls of each shopper", within=300)

    async def finish(self) -> None:
        """Wait until each shopper has ended its last call."""
        for shopper in self.shoppers:
            shopper.tired = True
        await asyncio.gather(*self._at_work)


async def stocked(client: ShopClient, ids: IdFactory, skus: int) -> Assortment:
    """Receive units of new products in three warehouses."""
    plenty = [ids.product()[0] for _ in range(skus)]
    received = {sku: Counter({1: 4000, 2: 3000, 3: 4000}) for sku in plenty}
    for sku, places in received.items():
        for place, count in places.items():
            await client.do("receiveStock", sku=sku, warehouseID=place, count=count)
    return Assortment(plenty, ids.sku(), received)
