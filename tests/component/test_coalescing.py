import asyncio
from contextlib import aclosing

import pytest

from agents.aggregate import Refusal
from agents.ops.product_stand_in import SAMPLES
from agents.products.pricing import Product
from schemas.contract import Code
from tests.component.test_product_client import (
    OTHER,
    SKU,
    cart,
    client,
    prices,
    refused,
    service,
)

__all__ = ["client", "service"]  # fixtures


async def test_carts_that_wait_for_a_sku_share_one_call(service, client):
    service.gate.clear()
    async with aclosing(client()) as products:
        first = asyncio.create_task(products.price(cart(SKU)))
        await service.until_calls(1)
        others = [asyncio.create_task(products.price(cart(SKU, OTHER))) for _ in range(50)]
        await service.until_calls(2)
        service.gate.set()
        views = await asyncio.gather(first, *others)
    assert service.calls == {SKU: 2, OTHER: 1}
    assert [prices(view) for view in views] == [{SKU: 2202}] + [
        {SKU: 2202, OTHER: 2931}
    ] * 50


async def test_no_price_is_older_than_the_request_of_its_cart(service, client):
    service.gate.clear()
    async with aclosing(client()) as products:
        early = asyncio.create_task(products.price(cart(SKU)))
        await service.until_calls(1)
        service.products[SKU] = Product("Кроссовки", 3)
        late = asyncio.create_task(products.price(cart(SKU)))
        service.gate.set()
        await asyncio.gather(early, late)
    assert prices(late.result()) == {SKU: 3}
    assert service.calls[SKU] == 2


async def test_a_refused_call_refuses_only_the_carts_that_wait_for_it(service, client):
    service.gate.clear()
    async with aclosing(client()) as products:
        known = asyncio.create_task(products.price(cart(SKU)))
        both = asyncio.create_task(products.price(cart(404, SKU)))
        unknown = asyncio.create_task(refused(products, cart(404)))
        await service.until_calls(2)
        service.gate.set()
        assert prices(await known) == {SKU: 2202}
        assert (await unknown).code is Code.UNKNOWN_PRODUCT
        with pytest.raises(Refusal):
            await both
    assert service.calls[404] == 1


async def test_a_cart_that_gave_up_costs_no_call(service, client):
    service.gate.clear()
    async with aclosing(client(product_parallelism=1)) as products:
        first = asyncio.create_task(products.price(cart(SKU)))
        await service.until_calls(1)
        given_up = asyncio.create_task(products.price(cart(OTHER)))
        await asyncio.sleep(0)  # until it waits for its call
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        service.gate.set()
        await first
        last = next(sku for sku in SAMPLES if sku not in (SKU, OTHER))
        await products.price(cart(last))
    assert service.calls == {SKU: 1, last: 1}
