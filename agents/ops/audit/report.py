"""The result of an audit, as text and as JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.ops.audit.invariants import Balances, StockBalance, total

_LIMIT = 50
_COLUMNS = ("sku", "warehouse", "received", "available", "reserved", "written off")


@dataclass
class Report:
    """The result of an audit.

    Attributes:
        differences: rows and replies that differ from the replay of their log.
        violations: of invariants.
        notes: parts that were not audited, with the reason.
        counts: of rows, records and queries.
        offsets: the ends of the replayed logs, by topic and partition.
        balances: of each sku and warehouse.
    """

    differences: list[object] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)
    balances: Balances = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether there is no difference and no violation."""
        return not (self.differences or self.violations)

    def lines(self, *, quiet: bool) -> Iterator[str]:
        """Yield the report for operators; a quiet one has only the totals of the table."""
        yield from table(self.balances, limit=0 if quiet else _LIMIT)
        for note in self.notes:
            yield f"note: {note}"
        yield from _limited("difference", self.differences)
        yield from _limited("violation", self.violations)
        if self.clean:
            yield "The shop matches its logs: no difference, no violation."

    def json(self) -> str:
        """Return the report for programs, in one line."""
        sums = total(self.balances)
        found: dict[str, Any] = {
            **self.counts,
            "skus": len({sku for sku, _ in self.balances}),
            "received": sums.received,
            "available": sums.available,
            "reserved": sums.reserved,
            "written_off": sums.written_off,
            "differences": len(self.differences),
            "violations": len(self.violations),
            "seconds": round(self.seconds, 2),
            "offsets": self.offsets,
        }
        return json.dumps(found)


def table(balances: Balances, limit: int = _LIMIT) -> Iterator[str]:
    """Yield the balances as text, up to a limit, and their total."""
    yield _row(*_COLUMNS)
    for (sku, warehouse), balance in sorted(balances.items())[:limit]:
        yield _row(sku, warehouse, *_cells(balance))
    if limit and len(balances) > limit:
        yield f"… and {len(balances) - limit} lines more"
    yield _row("all", len(balances), *_cells(total(balances)))


def _limited(name: str, found: Iterable[object]) -> Iterator[str]:
    lines = [f"{name}: {each}" for each in found]
    yield from lines[:_LIMIT]
    if len(lines) > _LIMIT:
        yield f"… and {len(lines) - _LIMIT} {name}s more"


def _cells(balance: StockBalance) -> tuple[int, ...]:
    return balance.received, balance.available, balance.reserved, balance.written_off


def _row(*cells: object) -> str:
    sku, *others = map(str, cells)
    return f"{sku:<12}" + "".join(f" {cell:>20}" for cell in others)
