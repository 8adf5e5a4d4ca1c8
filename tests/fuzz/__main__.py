"""Fuzz the consumer of a topic: `python -m tests.fuzz [--records 100000] [--seed 1]`.

It needs no broker, to be fast: batches of aiokafka pass through router, rules and rows.
Prints a table and one JSON line; the exit code is 1 after a wrong result.
"""

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from tests.fuzz.desk import SOURCES, run

_ROUND = 2000
FATES = ("served", "passed on", "buried", "refused")


def main() -> int:
    """Run the rounds of each topic."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rounds = -(-asked.records // (_ROUND * len(SOURCES)))
    seeds = range(asked.seed, asked.seed + rounds)
    began, all_fates = time.monotonic(), Counter[str]()
    print(f"{'topic':<18}" + "".join(f"{fate:>12}" for fate in FATES))
    with ProcessPoolExecutor() as pool:
        for topic in SOURCES:
            rounds_of_it = pool.map(run, repeat(topic.name), seeds, repeat(_ROUND))
            fates = sum(rounds_of_it, Counter[str]())
            print(f"{topic.name:<18}" + "".join(f"{fates[fate]:>12,}" for fate in FATES))
            all_fates += fates
    result = {"door": "topics", "records": all_fates.total(), "seed": asked.seed}
    result |= {"seconds": round(time.monotonic() - began), **all_fates}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
