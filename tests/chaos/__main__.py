"""Run a campaign: `python -m tests.chaos [--rounds N] [--seed N] [--faults WORDS …]
[--standbys N]`.

Prints a line at the end of each round, and a table of all at the end. The exit code is 1
after a violation.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos import (
    checkpoints,
    dependencies,
    network,
    processes,
    records,
    recovery,
    repartitions,
)
from tests.chaos.campaign import Round, campaign
from tests.chaos.fault import FAULTS, Fault
from tests.chaos.report import json_lines, line, table

KINDS = (
    *(processes, network, dependencies, records, recovery),
    *(checkpoints, repartitions),
)
"""The modules of the faults; an import adds them to the list, in which they are played."""


async def play(faults: list[Fault], rounds: int, seed: int, place: Path) -> list[Round]:
    """Run a campaign, and print each round."""
    played = []
    async for done in campaign(faults, rounds, seed, place):
        print(line(done), *done.violations, sep="\n    ", flush=True)
        played.append(done)
    return played


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of each fault")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    parser.add_argument("--faults", nargs="*", default=[""], help="parts of their names")
    text = "of each partition, also for faults that need none"
    parser.add_argument("--standbys", type=int, default=0, help=text)
    args = parser.parse_args()
    faults = [
        replace(one, standbys=max(one.standbys, args.standbys))
        for one in FAULTS
        if any(word in one.name for word in args.faults)
    ]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    place = Path(tempfile.mkdtemp(prefix="chaos-"))
    played = asyncio.run(play(faults, args.rounds, args.seed, place))
    print("", *table(played), "", *json_lines(played, args.seed), sep="\n")
    if any(done.violations for done in played):
        print(f"\nlogs and state are left in {place}")
        return 1
    shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
