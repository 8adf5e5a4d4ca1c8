"""After a load: every acknowledged call had exactly one effect, and nothing else had."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.e2e.doors import Answer, Door
from tests.e2e.kafka import Kafka
from tests.e2e.ledger import ledger
from tests.e2e.letters import said
from tests.e2e.post import Post
from tests.e2e.traffic import CANCELLED, FAILED, OPEN, PAID, Shopper
from tests.e2e.waiting import until

_PATHS = {
    OPEN: ["new", OPEN],
    PAID: ["new", OPEN, PAID],
    CANCELLED: ["new", OPEN, CANCELLED],
    FAILED: ["new", FAILED],
}
_STATUSES = {
    OPEN: {"reserved"},
    PAID: {"sold"},
    CANCELLED: {"released"},
    FAILED: {"released", "refused"},
}


_READERS = (
    ("checkout", "cart.requests"),
    ("loms", "order.requests"),
    ("loms", "stock.requests"),
    ("products", "product.requests"),
    ("notifications", "order.events"),
)


async def audit(shoppers: Sequence[Shopper], kafka: Kafka, door: Door) -> None:
    """Compare carts, orders, events and stock with the shoppers' acknowledged calls."""
    for shopper in shoppers:
        await carts_and_orders(shopper, door)
    await kafka.caught_up()
    facts(shoppers, kafka)
    await stock(shoppers, kafka, door)


async def nothing_is_left_undone(kafka: Kafka) -> None:
    """Wait until the workers have committed all records; no batch hangs."""
    for group, topic in _READERS:

        async def is_done(group: str = group, topic: str = topic) -> bool:
            return await kafka.lag(group, topic) == 0

        await until(is_done, f"{group} has committed all of {topic}")


async def carts_and_orders(shopper: Shopper, door: Door) -> None:
    """A shopper's cart and orders are those of the acknowledged calls."""

    async def priced() -> Answer | None:
        answer = await door.insist("listCart", f"{shopper.user}", user=shopper.user)
        return None if answer.code == "product-service" else answer

    answer = await until(priced, "a ProductService that is back")
    shown = {item["sku"]: item["count"] for item in answer.reply["items"]}
    assert shown == shopper.lines, shopper.user
    for order, (status, lines) in shopper.orders.items():
        found = await door.insist("listOrder", f"{order}", orderID=order)
        items = [{"sku": sku, "count": lines[sku]} for sku in sorted(lines)]
        expected = {"status": status, "user": shopper.user, "items": items}
        assert found == Answer(expected), order


def facts(shoppers: Sequence[Shopper], kafka: Kafka) -> None:
    """Only acknowledged orders have events; each took its statuses in order."""
    paths: defaultdict[int, dict[int, list[str]]] = defaultdict(dict)
    for record in kafka.seen["order.events"]:
        event = said(record)
        if "orderID" in event:
            path = paths[event["user"]].setdefault(event["orderID"], [])
            if event["status"] not in path:
                path.append(event["status"])
    for shopper in shoppers:
        expected = {order: _PATHS[status] for order, (status, _) in shopper.orders.items()}
        assert paths[shopper.user] == expected, shopper.user


async def stock(shoppers: Sequence[Shopper], kafka: Kafka, door: Door) -> None:
    """Each unit that only these shoppers buy is where their orders put it."""
    goods = shoppers[0].goods
    for sku in goods.received:
        kept = await ledger(kafka, door, sku)
        assert kept.received == goods.received[sku], sku
        ordered = {
            order: (status, lines[sku])
            for shopper in shoppers
            for order, (status, lines) in shopper.orders.items()
            if sku in lines
        }
        assert kept.statuses.keys() == ordered.keys()
        for order, (status, _) in ordered.items():
            assert kept.statuses[order] in _STATUSES[status], (order, status)
        units = Counter[str]()
        for status, count in ordered.values():
            units[status] += count
        assert kept.reserved.total() == units[OPEN]
        assert kept.sold.total() == units[PAID]


async def audit_notices(shoppers: Sequence[Shopper], mails: Post, *, once: bool) -> None:
    """Compare the mails: one for each status, in order; once, or the first time."""
    for shopper in shoppers:
        for order, (status, _) in shopper.orders.items():
            expected = [step.replace(" ", "-") for step in _PATHS[status]]
            got = [mail.status for mail in await mails.about(order, len(expected))]
            assert (got if once else list(dict.fromkeys(got))) == expected, order
