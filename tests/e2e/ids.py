"""Users, skus and keys that no other test uses: all tests share one shop."""

from itertools import count
from uuid import uuid4

from agents.ops.product_stand_in import INVENTED
from agents.products.pricing import Product


class IdFactory:
    """Returns unused ids of a shop."""

    def __init__(self) -> None:
        self._users = count(7_000_001)
        self._skus = count(3_000_000_001)
        self._products = iter(INVENTED.items())

    def user(self) -> int:
        """Return a user without a cart and without orders."""
        return next(self._users)

    def sku(self) -> int:
        """Return a sku without stock, which ProductService does not have."""
        return next(self._skus)

    def product(self) -> tuple[int, Product]:
        """Return a sku without stock, which ProductService has, and its product."""
        return next(self._products)

    @staticmethod
    def key() -> str:
        """Return an idempotency key."""
        return uuid4().hex
