import asyncio
from contextlib import aclosing

import grpc
import pytest

from agents.aggregate import Refusal
from agents.ops.product_stand_in import INVENTED, SAMPLES
from agents.products.client import ProductClient
from agents.products.pricing import Product
from agents.settings import ProductSettings
from schemas.cart import CartView, PriceCart
from schemas.contract import Code, Item
from tests.standins.gated_product_service import GatedStandIn
from tests.standins.tunnel import Tunnel

SKU, OTHER = 773297411, 1148162


@pytest.fixture
async def service():
    stand_in = GatedStandIn()
    await stand_in.start()
    yield stand_in
    stand_in.gate.set()
    await stand_in.stop()


@pytest.fixture
def client(service):
    """Return a function that makes clients of the service."""

    def make(**settings) -> ProductClient:
        return ProductClient(ProductSettings(product_service=service.address, **settings))

    return make


def cart(*skus: int, count: int = 1) -> PriceCart:
    return PriceCart(user=1, items=tuple(Item(sku=sku, count=count) for sku in skus))


async def refused(products: ProductClient, request: PriceCart) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        await products.price(request)
    return refusal.value


def prices(view: CartView) -> dict[int, int]:
    return {item.sku: item.price for item in view.items}


async def test_every_sample_is_priced_with_its_exact_name(client):
    async with aclosing(client()) as products:
        view = await products.price(cart(*SAMPLES))
    assert {i.sku: (i.name, i.price) for i in view.items} == SAMPLES
    assert "Кроссовки Nike JORDAN" in {item.name for item in view.items}


async def test_each_sku_of_a_cart_is_requested_once(service, client):
    async with aclosing(client()) as products:
        await products.price(cart(OTHER, SKU, OTHER))
    assert service.calls == {OTHER: 1, SKU: 1}


async def test_a_price_is_of_this_moment(service, client):
    async with aclosing(client()) as products:
        before = await products.price(cart(SKU))
        service.products[SKU] = Product("Кроссовки", 3)
        after = await products.price(cart(SKU))
    assert (before.total_price, after.total_price) == (2202, 3)


async def test_prices_up_to_uint32_are_exact_and_sums_over_it_refused(client):
    async with aclosing(client()) as products:
        assert (await products.price(cart(4294967295))).total_price == 4294967295
        assert (await products.price(cart(65537, count=65535))).total_price == 4294967295
        assert (
            await refused(products, cart(65538, count=65535))
        ).code is Code.TOTAL_TOO_LARGE


async def test_an_unknown_sku_is_refused_by_name_and_not_requested_again(service, client):
    async with aclosing(client()) as products:
        no = await refused(products, cart(404))
    assert (no.code, service.calls[404]) == (Code.UNKNOWN_PRODUCT, 1)
    assert "404" in str(no)


async def test_an_unknown_sku_ends_the_calls_of_its_cart(service, client):
    service.products = dict.fromkeys(range(1, 100), SAMPLES[SKU])
    async with aclosing(client(product_parallelism=2)) as products:
        assert (await refused(products, cart(*range(100)))).code is Code.UNKNOWN_PRODUCT
        assert service.calls.total() < 50
        assert len((await products.price(cart(*range(1, 100)))).items) == 99


async def test_a_wrong_token_is_refused_at_once_and_not_repeated(service, client):
    async with aclosing(client(product_token="s3cret")) as products:
        no = await refused(products, cart(SKU))
    assert (no.code, service.calls[SKU]) == (Code.PRODUCT_SERVICE, 1)
    assert "UNAUTHENTICATED" in str(no)
    assert "s3cret" not in str(no)


async def test_a_passing_failure_is_retried(service, client):
    service.behaviour.fail_next = 2
    async with aclosing(client()) as products:
        assert prices(await products.price(cart(SKU))) == {SKU: 2202}
    assert service.calls[SKU] == 3


async def test_one_call_in_five_that_fails_is_retried(service, client):
    service.behaviour.error_rate = 0.2
    skus = tuple(INVENTED)[:40]
    async with aclosing(client(product_attempts=20)) as products:
        assert len((await products.price(cart(*skus))).items) == 40
    assert service.calls.total() > 40


async def test_a_lasting_failure_is_refused_after_so_many_attempts(service, client):
    service.behaviour.error_rate = 1
    async with aclosing(client(product_attempts=3)) as products:
        no = await refused(products, cart(SKU))
    assert (no.code, service.calls[SKU]) == (Code.PRODUCT_SERVICE, 3)


async def test_a_call_past_its_deadline_is_made_again(service, client):
    service.gate.clear()
    async with aclosing(client(product_deadline_seconds=0.1)) as products:
        pricing = asyncio.create_task(products.price(cart(SKU)))
        await service.until_calls(2)
        service.gate.set()
        assert prices(await pricing) == {SKU: 2202}


async def test_a_hanging_service_is_refused_within_the_budget(service, client):
    service.gate.clear()
    async with aclosing(client(product_budget_seconds=0.5)) as products:
        async with asyncio.timeout(2):
            no = await refused(products, cart(SKU, OTHER))
    assert no.code is Code.PRODUCT_SERVICE


async def test_carts_that_queue_behind_a_hanging_service_are_refused_in_time_too(
    service, client
):
    service.gate.clear()
    async with aclosing(
        client(product_budget_seconds=0.5, product_parallelism=1)
    ) as products:
        async with asyncio.timeout(2):
            answers = await asyncio.gather(
                *(refused(products, cart(SKU)) for _ in range(50))
            )
    assert {no.code for no in answers} == {Code.PRODUCT_SERVICE}


async def test_a_dead_service_is_refused_within_the_default_budget(service, client):
    await service.stop()
    async with aclosing(client()) as products:
        async with asyncio.timeout(ProductSettings().product_budget_seconds + 1):
            no = await refused(products, cart(SKU))
    assert no.code is Code.PRODUCT_SERVICE


async def test_no_more_calls_are_in_flight_than_allowed(service, client):
    service.gate.clear()
    async with aclosing(client(product_parallelism=4)) as products:
        carts = (tuple(INVENTED)[:10], tuple(INVENTED)[10:20])
        pricing = [asyncio.create_task(products.price(cart(*skus))) for skus in carts]
        await service.until_calls(4)
        service.gate.set()
        await asyncio.gather(*pricing)
    assert (service.most_in_flight, service.calls.total()) == (4, 20)


async def test_calls_keep_to_the_rate_and_the_burst(service, client):
    clock = asyncio.get_running_loop().time
    async with aclosing(client(product_rate_limit=50, product_burst=2)) as products:
        began = clock()
        await products.price(cart(*tuple(INVENTED)[:12]))
        assert clock() - began >= (12 - 2) / 50
    assert service.most_in_flight <= 2


async def test_a_cart_too_large_for_the_rate_costs_no_call(service, client):
    async with aclosing(client(product_rate_limit=10)) as products:
        no = await refused(products, cart(*tuple(INVENTED)[:60]))
    assert (no.code, service.calls.total()) == (Code.PRODUCT_SERVICE, 0)


async def test_a_service_that_restarts_is_found_again(service, client):
    async with aclosing(client()) as products:
        await products.price(cart(SKU))
        await service.stop()
        assert (await refused(products, cart(SKU))).code is Code.PRODUCT_SERVICE
        await service.start(port=service.port)
        assert prices(await products.price(cart(SKU))) == {SKU: 2202}


async def test_a_short_restart_goes_unnoticed(service, client):
    async with aclosing(client()) as products:
        await products.price(cart(SKU))
        await service.stop()
        pricing = asyncio.create_task(products.price(cart(SKU)))
        await service.start(port=service.port)
        assert prices(await pricing) == {SKU: 2202}


@pytest.mark.parametrize("answer", [b"\x0a\x02\xff\xfe", b"\xff", b"\x0a\xff\x7f" * 99])
async def test_bytes_that_are_no_response_are_refused(answer):
    async def garble(_request, _context):
        return answer

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(garble)
    name = "route256.product.ProductService"
    handlers = grpc.method_handlers_generic_handler(name, {"GetProduct": method})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = ProductSettings(product_service=f"127.0.0.1:{port}", product_attempts=1)
    async with aclosing(ProductClient(settings)) as products:
        assert (await refused(products, cart(SKU))).code is Code.PRODUCT_SERVICE
    await server.stop(0)


async def test_a_peer_that_vanished_is_found_again(service):
    tunnel = Tunnel(service.port)
    async with await asyncio.start_server(tunnel.connect, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        patient = ProductSettings(
            product_service=f"127.0.0.1:{port}",
            product_deadline_seconds=0.5,
            product_attempts=99,
            product_budget_seconds=30,
        )
        async with aclosing(ProductClient(patient)) as products:
            await products.price(cart(SKU))
            tunnel.lose()
            assert prices(await products.price(cart(SKU))) == {SKU: 2202}
