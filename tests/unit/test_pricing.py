import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.aggregate import Refusal
from agents.products.client import TokenBucket
from agents.products.pricing import Product, price_cart, skus
from agents.settings import ProductSettings
from schemas.cart import PriceCart, PricedItem
from schemas.contract import MAX_COUNT, MAX_LINES, MAX_PRICE, Code, Item


def cart(*lines: tuple[int, int]) -> PriceCart:
    return PriceCart(user=1, items=tuple(Item(sku=sku, count=n) for sku, n in lines))


def refused(request: PriceCart, products: dict[int, Product]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        price_cart(request, products)
    return refusal.value


def test_a_cart_shows_names_prices_and_their_sum():
    shown = price_cart(
        cart((1148162, 3), (1076963, 2)),
        {1148162: Product("Кулинар Гуров", 2931), 1076963: Product("Roxy", 2202)},
    )
    assert shown.items == (
        PricedItem(sku=1076963, count=2, name="Roxy", price=2202),
        PricedItem(sku=1148162, count=3, name="Кулинар Гуров", price=2931),
    )
    assert shown.total_price == 2 * 2202 + 3 * 2931


def test_each_sku_is_named_once_and_ascending():
    assert skus(cart((7, 1), (3, 1), (7, 2), (4294967295, 1))) == (3, 7, 4294967295)


def test_a_line_that_comes_twice_is_counted_twice():
    shown = price_cart(cart((7, 1), (7, 2)), {7: Product("Seven", 10)})
    assert shown.total_price == 30


def test_a_product_may_cost_nothing_and_have_no_name():
    shown = price_cart(cart((0, MAX_COUNT)), {0: Product("", 0)})
    assert (shown.total_price, shown.items[0].name) == (0, "")


def test_the_largest_sum_that_fits_is_shown():
    assert price_cart(cart((1, 1)), {1: Product("Max", MAX_PRICE)}).total_price == MAX_PRICE
    # 65537 · 65535 is one short of 2³²; so much can be paid, and not a unit more.
    products = {65537: Product("Edge", 65537), 1: Product("One", 1)}
    assert price_cart(cart((65537, MAX_COUNT)), products).total_price == MAX_PRICE
    assert refused(cart((65537, MAX_COUNT), (1, 1)), products).code is Code.TOTAL_TOO_LARGE


def test_a_sum_over_uint32_is_refused_and_never_wrapped():
    refusal = refused(cart((65538, MAX_COUNT)), {65538: Product("Edge", 65538)})
    assert refusal.code is Code.TOTAL_TOO_LARGE
    assert str(65538 * MAX_COUNT) in str(refusal)


def test_names_that_would_fill_a_record_are_refused():
    products = {sku: Product("n" * 1000, 1) for sku in range(MAX_LINES)}
    refusal = refused(cart(*((sku, 1) for sku in products)), products)
    assert refusal.code is Code.PRODUCT_SERVICE


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 2**32 - 1),
        st.tuples(st.integers(1, MAX_COUNT), st.integers(0, MAX_PRICE), st.text()),
        min_size=1,
    )
)
def test_the_sum_is_exact_or_refused(lines):
    request = cart(*((sku, count) for sku, (count, _, _) in lines.items()))
    products = {sku: Product(name, price) for sku, (_, price, name) in lines.items()}
    total = sum(count * price for count, price, _ in lines.values())
    if total > MAX_PRICE:
        assert refused(request, products).code is Code.TOTAL_TOO_LARGE
    else:
        shown = price_cart(request, products)
        assert shown.total_price == total
        assert [item.sku for item in shown.items] == sorted(lines)


@pytest.mark.parametrize("ours", ["127.0.0.1:8082", "product-service:8082"])
def test_the_stand_in_has_no_rate_limit(ours):
    settings = ProductSettings(product_service=ours)
    assert settings.calls_per_second == 0
    assert settings.max_concurrency == settings.product_parallelism


def test_any_other_service_has_the_limit_of_the_public_one():
    settings = ProductSettings(product_service="products.example:8082")
    assert (settings.calls_per_second, settings.max_concurrency) == (10, 5)


def test_the_limit_can_be_set_and_lifted():
    public = "products.example:8082"
    set_to = ProductSettings(product_service=public, product_rate_limit=2.5)
    lifted = ProductSettings(product_service=public, product_rate_limit=0)
    assert (set_to.calls_per_second, lifted.calls_per_second) == (2.5, 0)


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("PRODUCT_RATE_LIMIT", "")
    monkeypatch.setenv("PRODUCT_DEADLINE_SECONDS", "2.5")
    settings = ProductSettings()
    assert (settings.product_rate_limit, settings.product_deadline_seconds) == (None, 2.5)


def test_the_token_is_not_shown():
    assert "testtoken" not in repr(ProductSettings())


async def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    now = 100.0
    bucket = TokenBucket(per_second=10, burst=5, clock=lambda: now)
    assert bucket.seconds_for(5) == 0
    for _ in range(5):
        await bucket.take()
    assert bucket.seconds_for(1) == pytest.approx(0.1)
    assert bucket.seconds_for(20) == pytest.approx(2)
    now += 0.3
    assert bucket.seconds_for(3) == pytest.approx(0)
    now += 3600
    assert bucket.seconds_for(6) == pytest.approx(0.1)
