"""Checks after a load: every acknowledged call had exactly one effect, and nothing more."""

import asyncio
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.ops.local.deployment import REPOSITORY
from tests.e2e.clients import Answer, ShopClient
from tests.e2e.kafka import Kafka
from tests.e2e.ledger import ledger
from tests.e2e.mailbox import Mailbox
from tests.e2e.records import body_of
from tests.e2e.shop import Shop
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


async def audit(shoppers: Sequence[Shopper], kafka: Kafka, client: ShopClient) -> None:
    """Compare carts, orders, events and stock with the shoppers' expectations."""
    for shopper in shoppers:
        await carts_and_orders(shopper, client)
    await kafka.drain()
    order_events(shoppers, kafka)
    await stock(shoppers, kafka, client)


async def nothing_is_left_undone(kafka: Kafka) -> None:
    """Wait until the workers have committed every record; no batch may hang."""
    for group, topic in _READERS:

        async def is_done(group: str = group, topic: str = topic) -> bool:
            return await kafka.lag(group, topic) == 0

        await until(is_done, f"{group} has committed all of {topic}")


async def carts_and_orders(shopper: Shopper, client: ShopClient) -> None:
    """Compare a shopper's cart and orders with the expected ones."""

    async def priced() -> Answer | None:
        answer = await client.ask_until_answered(
            "listCart", f"{shopper.user}", user=shopper.user
        )
        return None if answer.code == "product-service" else answer

    answer = await until(priced, "a ProductService that is back")
    shown = {item["sku"]: item["count"] for item in answer.reply["items"]}
    assert shown == shopper.lines, shopper.user
    for order, (status, lines) in shopper.orders.items():
        found = await client.ask_until_answered("listOrder", f"{order}", orderID=order)
        items = [{"sku": sku, "count": lines[sku]} for sku in sorted(lines)]
        wanted = {"status": status, "user": shopper.user, "items": items}
        assert found == Answer(wanted), order


def order_events(shoppers: Sequence[Shopper], kafka: Kafka) -> None:
    """Require that only acknowledged orders exist, each with its statuses in order."""
    paths: defaultdict[int, dict[int, list[str]]] = defaultdict(dict)
    for record in kafka.seen["order.events"]:
        event = body_of(record)
        if "orderID" in event:
            path = paths[event["user"]].setdefault(event["orderID"], [])
            if event["status"] not in path:
                path.append(event["status"])
    for shopper in shoppers:
        wanted = {order: _PATHS[status] for order, (status, _) in shopper.orders.items()}
        assert paths[shopper.user] == wanted, shopper.user


async def stock(shoppers: Sequence[Shopper], kafka: Kafka, client: ShopClient) -> None:
    """Compare the stock with the shoppers' orders: they alone buy these products."""
    assortment = shoppers[0].assortment
    for sku in assortment.received:
        kept = await ledger(kafka, client, sku)
        assert kept.received == assortment.received[sku], sku
        mine = {
            order: (status, lines[sku])
            for shopper in shoppers
            for order, (status, lines) in shopper.orders.items()
            if sku in lines
        }
        assert kept.statuses.keys() == mine.keys()
        for order, (status, _) in mine.items():
            assert kept.statuses[order] in _STATUSES[status], (order, status)
        units = Counter[str]()
        for status, count in mine.values():
            units[status] += count
        assert kept.reserved.total() == units[OPEN]
        assert kept.sold.total() == units[PAID]


async def audit_notices(shoppers: Sequence[Shopper], mails: Mailbox, *, once: bool) -> None:
    """Compare the mails: one for each status, in order; repeats if `once` is false."""
    for shopper in shoppers:
        for order, (status, _) in shopper.orders.items():
            wanted = [step.replace(" ", "-") for step in _PATHS[status]]
            got = [mail.status for mail in await mails.about(order, len(wanted))]
            assert (got if once else list(dict.fromkeys(got))) == wanted, order


async def audit_logs(shop: Shop, *options: str | Path) -> dict[str, Any]:
    """Audit a shop by its logs, without differences; return the totals."""
    code, output = await run_audit(shop, *options)
    assert code == 0, output
    totals: dict[str, Any] = json.loads(output.splitlines()[-1])
    return totals


async def run_audit(shop: Shop, *options: str | Path) -> tuple[int, str]:
    """Run the program of `make audit` on a shop; return its exit code and its output."""
    own = {
        "KAFKA": shop.kafka,
        "PARTITIONS": str(shop.partitions),
        "RUN_DIR": str(shop.local.directory),  # not that of this repository
    }
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.ops.audit", "--quiet", *options),
        cwd=REPOSITORY,
        env={**os.environ, **own},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await ran.communicate()
    return ran.returncode or 0, output.decode()
