"""Estimates the processes for a rate of stories, from the measured cost of one story.

    make bench | tee bench.log; python -m tests.benchmarks.capacity < bench.log

A story is cheaper the more of them share a batch, so there are two tables: from its cost
with 64 clients, and from that with one client, whose batches have one record. Many workers
with little load each pay something in between.

Assumptions, which are not measured: the cost of a story is the same with a core for each
process. A follower's copy costs a broker as much as the leader's. No process is busy for
more than `UTILISATION` of its time, so that the others can take the share of a failed one.
"""

import json
import math
import sys
from collections.abc import Iterable
from typing import Any

from tests.benchmarks.customers import Timing
from tests.benchmarks.meter import Spent
from tests.benchmarks.results import STORY, STORY_1, Result, cpu_seconds_each

UTILISATION = 0.6
COPIES = 3
BROKER_CORES = 8
RATES = (1_000, 10_000, 100_000)
PER_PARTITION = 100
"""Stories a second, at which the records of one partition do not fill its worker."""

KINDS = ("gateway", "checkout", "loms", "notifications")


def costs(lines: Iterable[str], what: str) -> dict[str, float]:
    """Return the CPU seconds of a story in each kind of process, from a bench's output."""
    for line in lines:
        if line.startswith("{") and (report := json.loads(line))["bench"] == what:
            each = cpu_seconds_each([_result(values) for values in report["rounds"]])
            return {name.removesuffix("-1"): cost for name, cost in each.items()}
    raise ValueError(f"no result of {what!r}")


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
    """Read a bench's output and print a table for each cost."""
    lines = sys.stdin.readlines()
    for what in (STORY, STORY_1):
        cost = costs(lines, what)
        each = sum(cost[kind] for kind in (*KINDS, "kafka")) * 1000
        print(f"{what}: {each:.1f} ms of CPU")
        print(f"{'stories a second':<18}" + "".join(f"{rate:>10,}" for rate in RATES))
        table = {rate: needed(cost, rate) for rate in RATES}
        for name in table[RATES[0]]:
            print(f"{name:<18}" + "".join(f"{table[rate][name]:>10,}" for rate in RATES))


if __name__ == "__main__":
    main()
