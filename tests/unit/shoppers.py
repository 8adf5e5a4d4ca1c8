"""What people do in a shop with little stock, in any order and again and again."""

from collections.abc import Callable
from datetime import timedelta

from schemas.cart import AddToCart, DeleteFromCart, ListCart, Purchase
from schemas.contract import Contract, Item
from schemas.order import CancelOrder, CreateOrder, ExpireOrder, ListOrder, PayOrder
from schemas.stock import ListStocks, ReceiveStock

from .world import Attempt, World

# Two users of one shard, a negative one, and one that no double holds exactly.
USERS = (7, 7 + 4096, -3, 2**63 - 1)
SKUS = (1, 2, 3)
BULK = 4
WAREHOUSES = (10, 7, -1)
UNPAID_SECONDS = 600
A_DAY, A_MONTH = timedelta(hours=22), timedelta(days=29)
NOBODYS_ORDER = 5
RETENTION_DAYS = 20
_UNTIL_DELETION = timedelta(days=RETENTION_DAYS)
_REMEMBERED = {
    ReceiveStock: A_DAY,
    CreateOrder: _UNTIL_DELETION,
    Purchase: _UNTIL_DELETION,
}


class Shoppers:
    """Draws requests, retries of them and misuses of their keys from a world's seed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._keys = 0
        self._doings: dict[Callable[[], Contract], int] = {
            self._add: 8,
            self._delete: 2,
            self._purchase: 4,
            self._create: 3,
            self._pay: 5,
            self._cancel: 3,
            self._receive: 1,
            self._look: 1,
        }

    def open_the_shop(self) -> None:
        for sku in SKUS:
            for warehouse in self._random.sample(WAREHOUSES, 2):
                count = self._random.randint(1, 3)
                self._ask(ReceiveStock(sku=sku, warehouse_id=warehouse, count=count))
        self._ask(ReceiveStock(sku=BULK, warehouse_id=10, count=70_000))

    def shop(self, requests: int) -> None:
        """Make requests while others are under way."""
        for _ in range(requests):
            self._do_something()
            for _ in range(self._random.choice((0, 0, 1, 3, 9))):
                self._world.step()

    def _do_something(self) -> None:
        chance = self._random.random()
        keyed = [a for a in self._world.attempts.values() if a.key and self._counts(a)]
        if chance < 0.2 and keyed:
            again = self._random.choice(keyed)
            self._world.ask(again.request, again.key)
        elif chance < 0.26 and keyed:
            misused = self._random.choice(keyed)
            self._world.ask(self._another(misused.request), misused.key)
        elif chance < 0.32:
            self._let_time_pass()
        else:
            self._ask(self._something())

    def _counts(self, attempt: Attempt) -> bool:
        """Return whether its key is still remembered, by the kind of the request."""
        age = self._world.now - self._world.asked_at[attempt.key]
        return age < _REMEMBERED.get(type(attempt.request), A_MONTH)

    def _ask(self, request: Contract) -> None:
        self._keys += 1
        key = f"k{self._keys}" if self._random.random() < 0.7 else None
        self._world.ask(request, key)

    def _something(self) -> Contract:
        doings, weights = list(self._doings), list(self._doings.values())
        return self._random.choices(doings, weights)[0]()

    def _another(self, request: Contract) -> Contract:
        """Ask something else of the same owner."""
        match request:
            case AddToCart(user=user) | DeleteFromCart(user=user) | Purchase(user=user):
                kind = self._random.choice((AddToCart, DeleteFromCart))
                return kind(user=user, **self._line())
            case CreateOrder(user=user):
                return CreateOrder(user=user, items=self._items())
            case PayOrder(order_id=order_id):
                return CancelOrder(order_id=order_id)
            case CancelOrder(order_id=order_id):
                return PayOrder(order_id=order_id)
            case ReceiveStock(sku=sku, warehouse_id=warehouse):
                return ReceiveStock(sku=sku, warehouse_id=warehouse, count=9)
            case _:
                return request

    def _let_time_pass(self) -> None:
        """Let the timer ask about an order, sometimes too early."""
        if self._random.random() < 0.5:
            self._world.now += timedelta(seconds=UNPAID_SECONDS)
        order_id = self._order()
        self._world.remind(ExpireOrder(order_id=order_id, unpaid_seconds=UNPAID_SECONDS))

    def _add(self) -> Contract:
        return AddToCart(user=self._user(), **self._line())

    def _delete(self) -> Contract:
        return DeleteFromCart(user=self._user(), **self._line())

    def _purchase(self) -> Contract:
        return Purchase(user=self._user())

    def _create(self) -> Contract:
        return CreateOrder(user=self._user(), items=self._items())

    def _pay(self) -> Contract:
        return PayOrder(order_id=self._order())

    def _cancel(self) -> Contract:
        return CancelOrder(order_id=self._order())

    def _receive(self) -> Contract:
        warehouse = self._random.choice(WAREHOUSES)
        return ReceiveStock(sku=self._random.choice(SKUS), warehouse_id=warehouse, count=1)

    def _look(self) -> Contract:
        views = (
            ListCart(user=self._user()),
            ListOrder(order_id=self._order()),
            ListStocks(sku=self._random.choice(SKUS)),
        )
        return self._random.choice(views)

    def _user(self) -> int:
        return self._random.choice(USERS)

    def _line(self) -> dict[str, int]:
        if self._random.random() < 0.15:
            return {"sku": BULK, "count": self._random.choice((20_000, 40_000, 65_535))}
        return {"sku": self._random.choice(SKUS), "count": self._random.randint(1, 3)}

    def _items(self) -> tuple[Item, ...]:
        lines = (Item(**self._line()) for _ in range(self._random.randint(1, 3)))
        return tuple({item.sku: item for item in lines}.values())

    def _order(self) -> int:
        """Mostly the newest, which may still be in the making."""
        known = list(self._world.events) or [NOBODYS_ORDER]
        chance = self._random.random()
        if chance < 0.05:
            return NOBODYS_ORDER
        return known[-1] if chance < 0.4 else self._random.choice(known[-6:])
