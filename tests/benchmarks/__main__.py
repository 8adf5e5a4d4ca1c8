"""`make bench`: measures the shop and its floors in turn, on a separate broker.

    python -m tests.benchmarks [--rounds 3] [--seconds 4] [--records 300000] [--peer NAME]
        [--audit]

The broker and the shop run as `make run-all` starts them. Every round measures each floor
and each call of the shop once, and a peer in between. So every figure is also a ratio of
two measurements within minutes on the same machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.benchmarks.bench import opened
from tests.benchmarks.streams.peer import Peer, build
from topics.broker.java import CannotRunError


async def run(args: argparse.Namespace) -> list[str]:
    """Run the rounds; return the lines of the report."""
    command = build() if args.peer else None
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        async with opened(where / "shop", args.seconds, args.records) as (bench, measure):
            peer = command and Peer(command, measure, where / "streams", bench.free_port)
            if peer:
                await peer.create_topics()
            for number in range(args.rounds):
                print(f"round {number + 1} of {args.rounds}", flush=True)
                await bench.preloaded()
                await bench.over_kafka()
                await bench.over_http()
                if peer:
                    async with bench.stopped():
                        await peer.measure()
            await bench.contended()
            if args.audit:
                await bench.audit()
            return [*measure.results.lines()]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--records", type=int, default=300_000, help="of a preloaded run")
    parser.add_argument("--audit", action="store_true", help="the shop at the end")
    parser.add_argument("--peer", choices=["streams"], help="measure it in between (Maven)")
    try:
        lines = uvloop.run(run(parser.parse_args()))
    except CannotRunError as error:
        sys.exit(f"bench: {error}")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
