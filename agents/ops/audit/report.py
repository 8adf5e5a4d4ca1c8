"""What an audit found, for people and for programs."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.ops.audit.invariants import Balances, StockBalance, total
from agents.ops.audit.snapshots import Difference

_MOST = 50
_COLUMNS = ("sku", "warehouse", "received", "available", "reserved", "written off")


@dataclass
class Report:
    """What was looked at, and what is wrong.

    Attributes:
        differences: rows and answers that are not what their log comes to.
        violations: laws that are broken.
        notes: what could not be looked at, and why.
        counts: how much was looked at.
        offsets: the ends of the logs that were folded, by topic and partition.
    """

    differences: list[Difference | str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)
    balances: Balances = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.differences or self.violations)

    def lines(self, *, quiet: bool) -> Iterator[str]:
        """Yield what people are to read."""
        yield from table(self.balances, most=0 if quiet else _MOST)
        for note in self.notes:
            yield f"note: {note}"
        yield from _some("difference", self.differences)
        yield from _some("violation", self.violations)
        if self.clean:
            yield "All is as the logs say: no difference, no violation."

    def json(self) -> str:
        """Return one line for programs."""
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


def _some(what: str, found: Iterable[object]) -> Iterator[str]:
    everything = [str(one) for one in found]
    for one in everything[:_MOST]:
        yield f"{what}: {one}"
    if len(everything) > _MOST:
        yield f"… and {len(everything) - _MOST} {what}s more"


def table(lines: Balances, most: int = _MOST) -> Iterator[str]:
    """Yield a ledger's lines for people, so many of them, and what they add up to."""
    yield _row(*_COLUMNS)
    for (sku, warehouse), line in sorted(lines.items())[:most]:
        yield _row(sku, warehouse, *_cells(line))
    if most and len(lines) > most:
        yield f"… and {len(lines) - most} lines more"
    yield _row("all", len(lines), *_cells(total(lines)))


def _cells(line: StockBalance) -> tuple[int, ...]:
    return line.received, line.available, line.reserved, line.written_off


def _row(*cells: object) -> str:
    sku, *others = map(str, cells)
    return f"{sku:<12}" + "".join(f" {cell:>20}" for cell in others)
