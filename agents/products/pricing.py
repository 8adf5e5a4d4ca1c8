"""The price of a cart: pure arithmetic over names and prices."""

from collections.abc import Mapping
from typing import NamedTuple

from agents.aggregate import Refusal
from schemas.cart import CartView, PriceCart, PricedItem
from schemas.contract import MAX_PRICE, Code

# A reply must fit into one Kafka record of 1 MiB, however long the names are.
_MAX_VIEW_BYTES = 900_000
_MAX_ITEM_BYTES, _MAX_CHARACTER_BYTES = 100, 6  # of JSON: without its name, and of that


class Product(NamedTuple):
    """A product of ProductService; the price is in the currency's smallest unit."""

    name: str
    price: int


def skus(request: PriceCart) -> tuple[int, ...]:
    """Return each sku of a cart once, ascending."""
    return tuple(sorted({item.sku for item in request.items}))


def price_cart(request: PriceCart, products: Mapping[int, Product]) -> CartView:
    """Return a cart with names, prices and their sum; `products` has every sku.

    Raises:
        Refusal: TOTAL_TOO_LARGE; PRODUCT_SERVICE if the names exceed a record.
    """
    items = tuple(
        PricedItem(sku=item.sku, count=item.count, **products[item.sku]._asdict())
        for item in sorted(request.items, key=lambda item: item.sku)
    )
    total = sum(item.price * item.count for item in items)
    if total > MAX_PRICE:
        raise Refusal(Code.TOTAL_TOO_LARGE, f"the sum {total} is over {MAX_PRICE}")
    cart = CartView(items=items, total_price=total)
    most = sum(_MAX_ITEM_BYTES + _MAX_CHARACTER_BYTES * len(i.name) for i in items)
    if most > _MAX_VIEW_BYTES and len(cart.to_json()) > _MAX_VIEW_BYTES:
        text = "the names of ProductService are too long for a reply"
        raise Refusal(Code.PRODUCT_SERVICE, text)
    return cart
