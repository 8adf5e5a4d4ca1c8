"""The units of a sku by state, from the changelog of the stock table."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord

from tests.e2e.clients import ShopClient
from tests.e2e.kafka import Kafka
from tests.e2e.steps import stocks

CHANGELOG = "loms-stock-changelog"

Places = Counter[int]


@dataclass
class Ledger:
    """A sku's units by warehouse, and the entries of its orders.

    Attributes:
        available: can be bought.
        reserved: by orders that await payment.
        sold: to orders that were paid.
        statuses: of the reservations, by order.
    """

    available: Places = field(default_factory=Counter)
    reserved: Places = field(default_factory=Counter)
    sold: Places = field(default_factory=Counter)
    statuses: dict[int, str] = field(default_factory=dict)

    @property
    def received(self) -> Places:
        """The units by warehouse, in any state."""
        return self.available + self.reserved + self.sold


async def ledger(kafka: Kafka, client: ShopClient, sku: int) -> Ledger:
    """Read a sku's rows; the reply to `stocks` must agree with them."""
    kept, level = Ledger(), {"available": {}, "reserved": {}}
    for name, row in rows(kafka, CHANGELOG, str(sku).encode()).items():
        _, _, entry = name.partition("/")
        if not entry:
            level = row
        elif "request" not in row:  # else a receipt
            # The second names are those of the previous release.
            status = kept.statuses[int(entry)] = row.get("status") or row["fate"]
            if status in ("reserved", "sold"):
                places = row["allocation"] if "allocation" in row else row["parcels"]
                getattr(kept, status).update(_places(places))
    kept.available = _places(level["available"])
    assert _places(level["reserved"]) == kept.reserved, (sku, level, kept)
    assert await stocks(client, sku) == kept.available, sku
    return kept


def rows(kafka: Kafka, changelog: str, owner: bytes) -> dict[str, Any]:
    """Return the rows of a table: of each key the highest version, the last of equals.

    A version is a source offset; after a repartition, its generation is in front of it.
    """
    newest: dict[bytes, tuple[tuple[int, int], int, ConsumerRecord]] = {}
    for record in kafka.seen[changelog]:
        if record.key.partition(b"/")[0] == owner:
            generation, _, offset = dict(record.headers)["version"].rpartition(b"/")
            version = int(generation or 0), int(offset)
            there = newest.get(record.key)
            if there is None or (version, record.offset) >= there[:2]:
                newest[record.key] = version, record.offset, record
    return {
        key.decode(): json.loads(record.value)
        for key, (*_, record) in newest.items()
        if record.value is not None
    }


def _places(units: dict[str, int]) -> Places:
    return Counter({int(warehouse): count for warehouse, count in units.items()})
