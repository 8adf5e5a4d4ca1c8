"""Request coalescing: one call for a sku serves all carts that wait for it.

A cart joins a call that is not sent yet. So no price is older than the cart's request.
While a call for a sku is in flight, the next one collects carts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agents.aggregate import Refusal
from agents.products.pricing import Product
from agents.runtime.fail_stop import BackgroundTasks

Begin = Callable[[], bool]
"""Called before a call is sent; returns whether a cart still waits for it."""


class _Cart:
    """A cart that waits for the products of so many skus."""

    def __init__(self, skus: int) -> None:
        self.products: dict[int, Product] = {}
        self.complete = asyncio.get_running_loop().create_future()
        self._skus = skus

    def receive(self, sku: int, outcome: Product | Refusal) -> None:
        if self.complete.done():  # refused, or given up
            return
        if isinstance(outcome, Refusal):
            self.complete.set_exception(outcome)
            return
        self.products[sku] = outcome
        if len(self.products) == self._skus:
            self.complete.set_result(None)


class CoalescedCalls:
    """Products by sku, with one call in flight for each sku.

    Args:
        call: returns a product, or raises a Refusal; calls `Begin` before each attempt.
    """

    def __init__(self, call: Callable[[int, Begin], Awaitable[Product]]) -> None:
        self._call = call
        self._unsent: dict[int, list[_Cart]] = {}
        self._skus: set[int] = set()  # with a task
        self._tasks = BackgroundTasks()

    async def products(self, skus: Sequence[int]) -> dict[int, Product]:
        """Return the products of different skus, at least one.

        Raises:
            Refusal: a call was refused.
        """
        cart = _Cart(len(skus))
        for sku in skus:
            self._unsent.setdefault(sku, []).append(cart)
            if sku not in self._skus:
                self._skus.add(sku)
                self._tasks.start(self._serve(sku))
        await cart.complete
        return cart.products

    def new_calls(self, skus: Sequence[int]) -> int:
        """Return how many calls these skus need besides those that wait to be sent."""
        return sum(sku not in self._unsent for sku in skus)

    async def aclose(self) -> None:
        """Cancel all calls."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, sku: int) -> None:
        """Call for a sku as long as carts wait for it."""
        while sku in self._unsent:
            carts: list[_Cart] = []

            def begin(carts: list[_Cart] = carts) -> bool:
                carts += self._unsent.pop(sku, ())
                return not all(cart.complete.done() for cart in carts)

            try:
                outcome: Product | Refusal = await self._call(sku, begin)
            except Refusal as refusal:
                outcome = refusal
            for cart in carts:
                cart.receive(sku, outcome)
        self._skus.discard(sku)
