"""`make bench`: measures the shop and its floors in turn, on a separate broker.

    python -m tests.benchmarks [--rounds 3] [--seconds 4]

Every round measures each floor and each call of the shop once. So every figure is also a
ratio of two measurements within a minute on the same machine.
"""

import argparse
import tempfile
from pathlib import Path

import uvloop

from tests.benchmarks.bench import opened


async def run(rounds: int, seconds: float) -> list[str]:
    """Run the rounds; return the lines of the report."""
    with tempfile.TemporaryDirectory() as directory:
        async with opened(Path(directory) / "shop", seconds) as bench:
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", flush=True)
                await bench.preloaded()
                await bench.over_kafka()
                await bench.over_http()
            await bench.contended()
            return [*bench.results.lines()]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    args = parser.parse_args()
    print(*uvloop.run(run(args.rounds, args.seconds)), sep="\n")


if __name__ == "__main__":
    main()
