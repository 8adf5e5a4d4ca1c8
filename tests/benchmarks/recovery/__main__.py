"""`make recovery`: measures how long keys have no answer, in separate shops.

    python -m tests.benchmarks.recovery [KIND ...] [--repetitions N] [--orders 1000000]

Each key is queried at a steady rate, over HTTP and over Kafka, while the shop is disturbed.
The result of a run is the longest time without an answer of each key: its median and its
maximum over keys. The table has the medians of all runs, and is printed line by line.
"""

import argparse
import asyncio
import json
import logging
import tempfile
from dataclasses import asdict
from itertools import product
from pathlib import Path

from tests.benchmarks.recovery.busy import busy
from tests.benchmarks.recovery.counter import count
from tests.benchmarks.recovery.disturbances import DISTURBANCES, ProbedShop
from tests.benchmarks.recovery.probing import report, table_head
from tests.benchmarks.recovery.rebuild import rebuild

KILLS = 20
REPETITIONS, REPETITIONS_WITH_ORDERS = 20, 5


async def probe(kinds: list[str], args: argparse.Namespace) -> None:
    """Probe shops through disturbances: without orders, and with many."""
    print(*table_head(), sep="\n", flush=True)
    settings = dict(words.split("=", 1) for words in args.set)
    for orders, brokers in product(sorted({0, args.orders}), (0, 3)):
        number = args.repetitions or (REPETITIONS_WITH_ORDERS if orders else REPETITIONS)
        if chosen := [kind for kind in kinds if DISTURBANCES[kind].brokers == brokers]:
            with tempfile.TemporaryDirectory() as directory:
                where = Path(directory) / "shop"
                shop = ProbedShop(where, orders, brokers, args.partitions, **settings)
                await report(shop, chosen, number, args.interval)


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
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.recovery", description=__doc__
    )
    everything = [*DISTURBANCES, "counter", "rebuild", "busy"]
    add = parser.add_argument
    add("kinds", nargs="*", metavar="KIND", help=", ".join(everything))
    add("--repetitions", type=int, help="of each disturbance (20; with orders 5)")
    add("--orders", type=int, default=1_000_000, help="in the table of the second shop")
    add("--interval", type=float, default=0.1, help="seconds between queries of a key")
    add("--partitions", type=int, default=8, help="of each topic, with a key each")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="of the workers")
    add("--kills", type=int, default=KILLS, help="of the counter")
    add("--seed", type=int, default=1, help="of the counter's kills")
    add("--records", type=int, default=300_000, help="to be counted")
    add("--rows", type=int, default=200_000, help="to be rebuilt")
    add("--seconds", type=float, default=60.0, help="to be busy")
    args = parser.parse_args()
    kinds = args.kinds or everything
    if unknown := set(kinds) - set(everything):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers are killed
    if wanted := [kind for kind in kinds if kind in DISTURBANCES]:
        asyncio.run(probe(wanted, args))
    asyncio.run(others(set(kinds), args))


if __name__ == "__main__":
    main()
