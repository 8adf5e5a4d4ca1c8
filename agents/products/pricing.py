"""The price of a cart: pure arithmetic over names and prices."""

from collections.abc import Mapping
from typing import NamedTuple

from agents.aggregate import Refusal
from schemas.cart import CartView, PriceCart
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
    items, total, characters = [], 0, 0
    for sku, count in sorted([(item.sku, item.count) for item in request.items]):
        name, price = products[sku]
        items.append({"sku": sku, "count": count, "name": name, "price": price})
        total += count * price
        characters += len(name)
    if total > MAX_PRICE:
        raise Refusal(Code.TOTAL_TOO_LARGE, f"the sum {total} is over {MAX_PRICE}")
    # Validated as a whole: that takes half the time of an object for each line.
    cart = CartView.model_validate({"items": items, "total_price": total})
    most = _MAX_ITEM_BYTES * len(items) + _MAX_CHARACTER_BYTES * characters
    if most > _MAX_VIEW_BYTES and len(cart.to_json()) > _MAX_VIEW_BYTES:
        text = "the names of ProductService are too long for a reply"
        raise Refusal(Code.PRODUCT_SERVICE, text)
    return cart
