"""The result of an audit, for people and for programs."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.ops.audit.checkpoint import Checkpoint
from agents.ops.audit.invariants import ACCOUNTS, MAX_LINES, Balances, table, total


@dataclass
class Report:
    """The result of an audit.

    Attributes:
        differences: rows and replies that differ from the replay of their log.
        notes: parts that were not audited, with the reason.
        totals: for programs, in addition to those of the other attributes.
        checkpoint: the audited state, if it was to be captured.
    """

    differences: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    balances: Balances = field(default_factory=lambda: defaultdict(Counter))
    totals: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    @property
    def is_clean(self) -> bool:
        """Whether the shop matches its logs."""
        return not (self.differences or self.violations)

    def lines(self, *, quiet: bool) -> Iterator[str]:
        """Yield the report: lines for operators, then one of JSON for programs.

        A quiet report has only the totals of the table.
        """
        yield from table(self.balances, limit=0 if quiet else MAX_LINES)
        yield from (f"note: {note}" for note in self.notes)
        for name, found in ("difference", self.differences), ("violation", self.violations):
            yield from (f"{name}: {each}" for each in found[:MAX_LINES])
            if len(found) > MAX_LINES:
                yield f"… and {len(found) - MAX_LINES} {name}s more"
        if self.is_clean:
            yield "The shop matches its logs: no difference, no violation."
        sums = total(self.balances)
        totals = {
            "skus": len({sku for sku, _ in self.balances}),
            "differences": len(self.differences),
            "violations": len(self.violations),
        }
        yield json.dumps(self.totals | totals | {name: sums[name] for name in ACCOUNTS})
