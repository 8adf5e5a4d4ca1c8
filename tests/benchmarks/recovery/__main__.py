"""`make recovery`: measures kills and restarts in separate shops.

    python -m tests.benchmarks.recovery [KIND ...] [--kills 20]

Records in the log of a key without an owner are answered once it has one. The measurement
sends a new query every 50 ms all the same.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from tests.benchmarks.recovery.busy import busy
from tests.benchmarks.recovery.counter import count
from tests.benchmarks.recovery.kills import Kills, kills
from tests.benchmarks.recovery.outage import Outage
from tests.benchmarks.recovery.rebuild import rebuild

KILLS = 20

Fault = Callable[[Kills, int], Awaitable[Outage]]
KINDS: dict[str, Fault] = {
    "back": Kills.killed_and_back,
    "taken-over": Kills.killed_for_good,
    "stopped": Kills.stopped_and_back,
    "checkout-back": Kills.checkout_killed_and_back,
}


async def inject(kinds: list[str], number: int) -> dict[str, list[Outage]]:
    """Inject each kind of fault a number of times."""
    costs: dict[str, list[Outage]] = {}
    with tempfile.TemporaryDirectory() as directory:
        async with kills(Path(directory) / "shop") as shop:
            for kind in kinds:
                for turn in range(number):
                    cost = await KINDS[kind](shop, turn)
                    costs.setdefault(kind, []).append(cost)
                    _print_one(kind, turn, cost)
    return costs


def _print_one(kind: str, turn: int, cost: Outage) -> None:
    phases = " ".join(f"{name}={seconds:.2f}" for name, seconds in cost.phases.items())
    load = os.getloadavg()[0]
    print(
        f"{kind} {turn + 1}: {cost.seconds:.2f} s  {phases}  (load {load:.1f})",
        file=sys.stderr,
        flush=True,
    )


def report(costs: dict[str, list[Outage]]) -> None:
    """Print a table, and a JSON line for each kind."""
    print(f"{'seconds without an answer':<28}{'min':>6}{'median':>8}{'p95':>6}{'max':>6}")
    for kind, outages in costs.items():
        seconds = sorted(each.seconds for each in outages)
        shown = (seconds[0], median(seconds), _p95(seconds), seconds[-1])
        print(f"{kind:<28}{shown[0]:>6.2f}{shown[1]:>8.2f}{shown[2]:>6.2f}{shown[3]:>6.2f}")
        print("  of it, median: " + _phases(outages))
    for kind, outages in costs.items():
        rounded = [round(each.seconds, 2) for each in outages]
        print(json.dumps({"recovery": kind, "seconds": rounded}))


def _p95(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]


def _phases(outages: list[Outage]) -> str:
    names = max((each.phases for each in outages), key=len)
    return "  ".join(
        f"{name} {median(each.phases.get(name, 0.0) for each in outages):.2f}"
        for name in names
    )


def _json(name: str, result: object) -> None:
    print(json.dumps({"recovery": name, **asdict(result)}), flush=True)


async def others(names: set[str], args: argparse.Namespace) -> None:
    """Count, rebuild and keep busy, each in a separate shop."""
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        if "counter" in names:
            done = await count(where / "counter", args.records, args.kills, args.seed)
            _json("counter", done)
        if "rebuild" in names:
            _json("rebuild", await rebuild(where / "rebuild", args.rows))
        if "busy" in names:
            _json("busy", await busy(where / "busy", args.seconds))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recovery")
    everything = [*KINDS, "counter", "rebuild", "busy"]
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(everything))
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1, help="of the counter's kills")
    parser.add_argument("--records", type=int, default=300_000, help="to be counted")
    parser.add_argument("--rows", type=int, default=200_000, help="to be rebuilt")
    parser.add_argument("--seconds", type=float, default=60.0, help="to be busy")
    args = parser.parse_args()
    kinds = args.kinds or everything
    if wanted := [kind for kind in kinds if kind in KINDS]:
        report(asyncio.run(inject(wanted, args.kills)))
    asyncio.run(others(set(kinds), args))


if __name__ == "__main__":
    main()
