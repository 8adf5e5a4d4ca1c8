"""A campaign's report: a table, and JSON lines."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

from tests.chaos.campaign import Round

HEAD = ("fault", "rounds", "operations", "violations", "recovered s: median", "max")


def line(done: Round) -> str:
    """Return the line of a round."""
    verdict = done.not_possible or (
        f"{len(done.violations)} VIOLATIONS" if done.violations else "ok"
    )
    seconds = "never" if done.recovered is None else f"{done.recovered:.1f} s"
    return (
        f"{done.fault.name} #{done.number}: {verdict}, {done.operations} operations,"
        f" served again after {seconds}, {done.fail_stops} fail-stops"
    )


def table(rounds: Sequence[Round]) -> Iterator[str]:
    """Yield a Markdown table with a row for each fault."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for row in rows(rounds):
        yield f"| {' | '.join(str(cell) for cell in row.values())} |"


def json_lines(rounds: Sequence[Round], seed: int) -> Iterator[str]:
    """Yield a line for each fault."""
    for row in rows(rounds):
        yield json.dumps({"chaos": row.pop("fault"), "seed": seed, **row})


def rows(rounds: Sequence[Round]) -> Iterator[dict[str, object]]:
    """Yield the results of each fault."""
    for fault, group in groupby(rounds, key=lambda done: done.fault):
        played = [done for done in group if done.not_possible is None]
        seconds = [done.recovered for done in played if done.recovered is not None]
        yield {
            "fault": fault.name,
            "rounds": len(played),
            "operations": sum(done.operations for done in played),
            "violations": sum(len(done.violations) for done in played),
            "median": round(median(seconds), 1) if seconds else None,
            "max": round(max(seconds), 1) if seconds else None,
        }
