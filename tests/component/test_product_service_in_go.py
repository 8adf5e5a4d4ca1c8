"""The ProductService of benchmarks responds as the stand-in does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agents.ops.product_stand_in import INVENTED, SAMPLES
from agents.products.client import ProductClient
from agents.settings import ProductSettings
from schemas.contract import Code
from tests.benchmarks.helpers import listens
from tests.benchmarks.product_service import build, write_products
from tests.component.test_product_client import SKU, cart, refused
from tests.programs import need
from tests.standins.broker import free_port
from topics.broker.java import CannotRunError


@pytest.fixture(scope="module")
def program() -> str:
    need("go")
    try:
        return build()
    except CannotRunError as reason:  # its modules have to be downloaded once
        pytest.skip(str(reason))


@pytest.fixture
async def address(program: str, tmp_path: Path) -> AsyncIterator[str]:
    """Run it within a test, on a free port; it must end well on SIGTERM."""
    products, port = tmp_path / "products.json", free_port()
    write_products(products)
    running = await asyncio.create_subprocess_exec(program, str(port), products)
    try:
        await listens(port)
        yield f"127.0.0.1:{port}"
    finally:
        running.terminate()
        assert await running.wait() == 0


async def test_it_has_the_products_of_the_stand_in(address: str):
    async with aclosing(ProductClient(ProductSettings(product_service=address))) as client:
        view = await client.price(cart(*SAMPLES, *INVENTED))
        assert {i.sku: (i.name, i.price) for i in view.items} == SAMPLES | INVENTED
        assert (await refused(client, cart(404))).code is Code.UNKNOWN_PRODUCT


async def test_it_refuses_a_wrong_token(address: str):
    settings = ProductSettings(product_service=address, product_token="guessed")
    async with aclosing(ProductClient(settings)) as client:
        assert "UNAUTHENTICATED" in str(await refused(client, cart(SKU)))
