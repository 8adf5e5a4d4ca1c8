"""What became of each piece of a sku, from the table's own changelog."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord

from tests.e2e.doors import Door
from tests.e2e.kafka import Kafka
from tests.e2e.scenes import stocks

CHANGELOG = "loms-stock-changelog"

Places = Counter[int]


@dataclass
class Ledger:
    """A sku's pieces by warehouse, and what the entries of its orders say.

    Attributes:
        available: on the shelf, to be bought.
        reserved: of orders that await payment.
        sold: of orders that were paid.
        fates: by order, what became of its request.
    """

    available: Places = field(default_factory=Counter)
    reserved: Places = field(default_factory=Counter)
    sold: Places = field(default_factory=Counter)
    fates: dict[int, str] = field(default_factory=dict)

    @property
    def received(self) -> Places:
        """All that there ever was."""
        return self.available + self.reserved + self.sold


async def ledger(kafka: Kafka, door: Door, sku: int) -> Ledger:
    """Read a sku's rows; what `stocks` says must agree with them."""
    kept, shelf = Ledger(), {"available": {}, "reserved": {}}
    for name, row in rows(kafka, CHANGELOG, str(sku).encode()).items():
        _, _, entry = name.partition("/")
        if not entry:
            shelf = row
        elif "fate" in row:
            kept.fates[int(entry)] = row["fate"]
            if row["fate"] in ("reserved", "sold"):
                getattr(kept, row["fate"]).update(_places(row["parcels"]))
    kept.available = _places(shelf["available"])
    assert _places(shelf["reserved"]) == kept.reserved, (sku, shelf, kept)
    assert await stocks(door, sku) == kept.available, sku
    return kept


def rows(kafka: Kafka, changelog: str, owner: bytes) -> dict[str, Any]:
    """Return rows of a table: of each key the highest version, the later one of two."""
    newest: dict[bytes, tuple[int, int, ConsumerRecord]] = {}
    for record in kafka.seen[changelog]:
        if record.key.partition(b"/")[0] == owner:
            version = int(dict(record.headers)["version"])
            there = newest.get(record.key)
            if there is None or (version, record.offset) >= there[:2]:
                newest[record.key] = version, record.offset, record
    return {
        key.decode(): json.loads(record.value)
        for key, (*_, record) in newest.items()
        if record.value is not None
    }


def _places(parcels: dict[str, int]) -> Places:
    return Counter({int(warehouse): count for warehouse, count in parcels.items()})
