"""Estimates the processes for a rate of stories, from the measured cost of one story.

    make bench | tee bench.log; python -m tests.benchmarks.capacity < bench.log

Assumptions, which are not measured: the cost of a story is the same with a core for each
process (on two cores it falls with the load, as batches grow). A follower's copy costs a
broker as much as the leader's. No process is busy for more than `UTILISATION` of its time,
so that the others can take the share of a failed one.
"""

import json
import math
import sys
from collections.abc import Iterable
from typing import Any

from tests.benchmarks.customers import Timing
from tests.benchmarks.meter import Spent
from tests.benchmarks.results import STORY, Result, cpu_seconds_each

UTILISATION = 0.6
COPIES = 3
BROKER_CORES = 8
RATES = (1_000, 10_000, 100_000)
PER_PARTITION = 100
"""Stories a second, at which the records of one partition do not fill its worker."""

KINDS = ("gateway", "checkout", "loms", "notifications")


def costs(lines: Iterable[str]) -> dict[str, float]:
    """Return the CPU seconds of a story in each kind of process, from a bench's output."""
    for line in lines:
        if line.startswith("{") and (report := json.loads(line))["bench"] == STORY:
            each = cpu_seconds_each([_result(values) for values in report["rounds"]])
            return {name.removesuffix("-1"): cost for name, cost in each.items()}
    raise ValueError(f"no result of {STORY!r}")


def _result(values: dict[str, Any]) -> Result:
    spent = {name: Spent(**what) for name, what in values["spent"].items()}
    return Result(Timing(**values["timing"]), values["seconds"], spent)


def needed(cost: dict[str, float], rate: int) -> dict[str, int]:
    """Return the number of each kind of process for a rate of stories."""
    counts = {kind: math.ceil(rate * cost[kind] / UTILISATION) for kind in KINDS}
    broker = rate * cost["kafka"] * COPIES / (UTILISATION * BROKER_CORES)
    counts["brokers"] = max(COPIES, math.ceil(broker))
    counts["partitions"] = max(8, 2 ** math.ceil(math.log2(rate / PER_PARTITION)))
    counts["cores"] = sum(counts[kind] for kind in KINDS) + BROKER_CORES * counts["brokers"]
    return counts


def main() -> None:
    """Read a bench's output and print a table."""
    cost = costs(sys.stdin)
    table = {rate: needed(cost, rate) for rate in RATES}
    print(f"{'stories a second':<18}" + "".join(f"{rate:>10,}" for rate in RATES))
    for what in table[RATES[0]]:
        print(f"{what:<18}" + "".join(f"{table[rate][what]:>10,}" for rate in RATES))


if __name__ == "__main__":
    main()
