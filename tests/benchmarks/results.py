"""Results of a benchmark and their targets: a table, and a JSON line for each."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from tests.benchmarks.customers import Timing
from tests.benchmarks.meter import Spent

ECHO = "floor: bare aiokafka echo, preloaded"
ECHO_1 = "floor: bare aiokafka echo, 1 outstanding"
ECHO_64 = "floor: bare aiokafka echo, 64 outstanding"
HELLO = "floor: aiohttp hello, 64 clients"

RECEIVE = "receiveStock through one worker, preloaded"
RECEIVE_HOT = "receiveStock of one hot sku, preloaded"
STOCKS = "stocks through one worker, preloaded"
HOP = "stocks over Kafka, 1 outstanding"
HOP_64 = "stocks over Kafka, 64 outstanding"
ALONE = "gateway alone: stocks from a bare echo, 64 clients"
HTTP_STOCKS_1 = "stocks over HTTP, 1 client"
HTTP_STOCKS_IDLE = "stocks over HTTP, 1 client, each after 2 idle seconds"
HTTP_STOCKS = "stocks over HTTP, 64 clients"
LIST_CART = "listCart of 30 skus, 64 clients"
STORY_1 = "full story, 1 client"
STORY_8 = "full story, 8 clients"
STORY = "full story: add, purchase, pay; 64 clients"
ORDER = "createOrder of 1 line, 64 clients"
ORDER_10 = "createOrder of 10 lines, 64 clients"
ORDER_HOT = "createOrder of one hot sku, 64 clients"

PER_SECOND, P50, P99 = "per_second", "p50", "p99"
LOAD = "load"


PEER = " | "
"""Between the name of a measurement and the peer that was measured so, too."""

WIDTH = 76
"""Of a name in the report."""


@dataclass(frozen=True)
class Target:
    """A target for one figure of a measurement.

    Attributes:
        what: the measurement.
        figure: `per_second`, `p50` or `p99`.
        bound: the minimum of a rate, the maximum of milliseconds.
        floor: the measurement that the bound is a multiple of; None: it is absolute.
    """

    what: str
    figure: str
    bound: float
    floor: str | None = None

    def met(self, value: float) -> bool:
        """Return whether a figure, or its ratio, is in bounds."""
        return value >= self.bound if self.figure == PER_SECOND else value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.figure == PER_SECOND else "≤"
        unit = {PER_SECOND: "/s", P50: " ms p50", P99: " ms p99"}[self.figure]
        return (
            f"{sign} {self.bound:g} of the {self.floor or ''}"
            if self.floor
            else (f"{sign} {self.bound:,g}{unit}")
        )


TARGETS = (
    Target(RECEIVE, PER_SECOND, 0.6, ECHO),
    Target(RECEIVE, PER_SECOND, 15_000),
    Target(RECEIVE_HOT, PER_SECOND, 0.7, RECEIVE),
    Target(HOP, P50, 1.3, ECHO_1),
    Target(HTTP_STOCKS, P50, 2.5, ECHO_64),
    Target(HTTP_STOCKS_IDLE, P50, 1.3, HTTP_STOCKS_1),
    Target(STORY_1, P50, 8, ECHO_1),
    Target(STORY, PER_SECOND, 500),
    Target(STORY, P99, 400),
    Target(ORDER, PER_SECOND, 1500),
    Target(ORDER_HOT, PER_SECOND, 0.7, ORDER),
)


@dataclass(frozen=True)
class Result:
    """A measurement.

    Attributes:
        seconds: its duration.
        spent: by process name.
        thirds: of a preloaded run, the rate of each third.
        behind: of a preloaded run, the most records that were carried out and not answered.
    """

    timing: Timing
    seconds: float = 0.0
    spent: Mapping[str, Spent] = field(default_factory=dict)
    thirds: Sequence[float] = ()
    behind: int = 0


class Results:
    """All measurements by name, each in the order of rounds."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[Result]] = {}

    def add(self, what: str, result: Result) -> None:
        """Add a measurement, and print it."""
        self.by_name.setdefault(what, []).append(result)
        print(f"{what:<{WIDTH}}{_rates(result.timing)}{_thirds([result])}", flush=True)

    def middle(self, what: str, figure: str) -> float:
        """Return the median over all rounds."""
        return median(getattr(one.timing, figure) for one in self.by_name[what])

    def ratio(self, what: str, floor: str, figure: str) -> float:
        """Return the median of all rounds' ratios of two measurements."""
        values = [getattr(one.timing, figure) for one in self.by_name[what]]
        floors = [getattr(one.timing, figure) for one in self.by_name[floor]]
        return median(v / f for v, f in zip(values, floors, strict=True))

    def reached(self, target: Target) -> float:
        """Return a target's figure, or its ratio to the floor."""
        if target.floor is None:
            return self.middle(target.what, target.figure)
        return self.ratio(target.what, target.floor, target.figure)

    def lines(self) -> Iterator[str]:
        """Return the lines of the report."""
        yield from (
            "",
            "CPU ms for each, with Kafka and without the load; by process (memory)",
        )
        for what, results in self.by_name.items():
            yield f"{what:<{WIDTH}}{_spent(results)}"
        yield from (
            "",
            f"{'median of rounds':<{WIDTH}}{'per second':>11}{'p50 ms':>9}{'p99 ms':>9}",
        )
        for what, results in self.by_name.items():
            yield f"{what:<{WIDTH}}{_rates(self._middle(what))}{_thirds(results)}"
        yield from ("", f"{'target':<{WIDTH}}{'reached':>11}  wanted")
        for target in _measured(self.by_name):
            value = self.reached(target)
            verdict = "" if target.met(value) else "  MISSED"
            yield f"{target.what:<{WIDTH}}{value:>11,.2f}  {target}{verdict}"
        yield from self._beside_peers()
        yield ""
        for what, results in self.by_name.items():
            yield json.dumps({"bench": what, "rounds": [asdict(one) for one in results]})

    def _beside_peers(self) -> Iterator[str]:
        """Yield our figures as multiples of the peers' figures."""
        peers = [what for what in self.by_name if what.rpartition(PEER)[0] in self.by_name]
        if peers:
            yield from (
                "",
                f"{'ours / theirs':<{WIDTH}}{'per second':>11}{'p50':>9}{'CPU':>9}",
            )
        for what in peers:
            ours = what.rpartition(PEER)[0]
            rate, p50 = self.ratio(ours, what, PER_SECOND), self.middle(what, P50)
            shown = f"{self.ratio(ours, what, P50):>9.2f}" if p50 else f"{'':>9}"
            both = zip(self.by_name[ours], self.by_name[what], strict=True)
            cpu = median(_total(mine) / _total(theirs) for mine, theirs in both)
            yield f"{what:<{WIDTH}}{rate:>11.2f}{shown}{cpu:>9.2f}"

    def _middle(self, what: str) -> Timing:
        return Timing(*(self.middle(what, figure) for figure in (PER_SECOND, P50, P99)))


def cpu_seconds_each(results: list[Result]) -> dict[str, float]:
    """Return the CPU time of one action in each process, by name."""
    return {
        name: median(
            one.spent[name].cpu_seconds / (one.timing.per_second * one.seconds)
            for one in results
        )
        for name in results[0].spent
    }


def _total(one: Result) -> float:
    """Return the CPU seconds of one action in all processes but the load."""
    each = cpu_seconds_each([one])
    return sum(cost for name, cost in each.items() if name != LOAD)


def _measured(there: Mapping[str, object]) -> Iterable[Target]:
    return (t for t in TARGETS if t.what in there and (t.floor is None or t.floor in there))


def _rates(timing: Timing) -> str:
    shown = f"{timing.per_second:>11,.0f}"
    return shown + (f"{timing.p50:>9.1f}{timing.p99:>9.1f}" if timing.p50 else "")


def _thirds(results: list[Result]) -> str:
    """Format the rates of a preloaded run's thirds, and the lag of its replies."""
    if not results[0].thirds:
        return ""
    thirds = zip(*(one.thirds for one in results), strict=True)
    shown = " · ".join(f"{median(third):,.0f}" for third in thirds)
    behind = median(one.behind for one in results)
    return f"  thirds {shown}" + (f"; replies {behind:,.0f} behind" if behind else "")


def _spent(results: list[Result]) -> str:
    """Format the CPU milliseconds of one action, in all and in each process."""
    memory = {name: spent.rss_mb for name, spent in results[-1].spent.items()}
    total = median(map(_total, results)) * 1000
    return f"{total:>8.3f} ms {sum(memory.values()) - memory[LOAD]:>6} MB: " + "  ".join(
        f"{name} {cost * 1000:.3f} ({memory[name]} MB)"
        for name, cost in cpu_seconds_each(results).items()
    )
