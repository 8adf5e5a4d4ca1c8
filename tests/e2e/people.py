"""Users, goods and keys that no other test has: all tests share one shop."""

from itertools import count
from uuid import uuid4

from agents.ops.standins.catalogue import INVENTED, Product


class Fresh:
    """Whatever has not been used yet in this shop."""

    def __init__(self) -> None:
        self._users = count(7_000_001)
        self._skus = count(3_000_000_001)
        self._products = iter(INVENTED.items())

    def user(self) -> int:
        """Somebody without a cart and without orders."""
        return next(self._users)

    def sku(self) -> int:
        """Something of which there is nothing, and which ProductService doesn't know."""
        return next(self._skus)

    def product(self) -> tuple[int, Product]:
        """Something of which there is nothing, but which has a name and a price."""
        return next(self._products)

    @staticmethod
    def key() -> str:
        """An idempotency key."""
        return uuid4().hex
