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

from tests.fuzz.worker import SOURCES, run

_ROUND = 2000
RESULTS = ("served", "forwarded", "dead letter", "refused")


def main() -> int:
    """Run the rounds of each topic."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rounds = -(-args.records // (_ROUND * len(SOURCES)))
    seeds = range(args.seed, args.seed + rounds)
    began, totals = time.monotonic(), Counter[str]()
    print(f"{'topic':<18}" + "".join(f"{result:>12}" for result in RESULTS))
    with ProcessPoolExecutor() as pool:
        for topic in SOURCES:
            rounds_of_it = pool.map(run, repeat(topic.name), seeds, repeat(_ROUND))
            results = sum(rounds_of_it, Counter[str]())
            print(
                f"{topic.name:<18}"
                + "".join(f"{results[result]:>12,}" for result in RESULTS)
            )
            totals += results
    result = {"fuzz": "topics", "records": totals.total(), "seed": args.seed}
    result |= {"seconds": round(time.monotonic() - began), **totals}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
