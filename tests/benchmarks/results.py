"""Results of a benchmark and their targets: a table, and a JSON line for each."""

import json
from collections.abc import Iterable, Iterator, Mapping
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
HTTP_STOCKS = "stocks over HTTP, 64 clients"
LIST_CART = "listCart of 30 skus, 64 clients"
STORY = "full story: add, purchase, pay; 64 clients"
ORDER = "createOrder of 1 line, 64 clients"
ORDER_10 = "createOrder of 10 lines, 64 clients"
ORDER_HOT = "createOrder of one hot sku, 64 clients"

PER_SECOND, P50, P99 = "per_second", "p50", "p99"


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
    Target(RECEIVE, PER_SECOND, 0.5, ECHO),
    Target(RECEIVE, PER_SECOND, 15_000),
    Target(RECEIVE_HOT, PER_SECOND, 0.7, RECEIVE),
    Target(HOP, P50, 1.3, ECHO_1),
    Target(HTTP_STOCKS, P50, 2.5, ECHO_64),
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
    """

    timing: Timing
    seconds: float = 0.0
    spent: Mapping[str, Spent] = field(default_factory=dict)


class Results:
    """All measurements by name, each in the order of rounds."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[Result]] = {}

    def add(self, what: str, result: Result) -> None:
        """Add a measurement, and print it."""
        self.by_name.setdefault(what, []).append(result)
        timing = result.timing
        print(f"{what:<52}{_rates(timing)}", flush=True)

    def middle(self, what: str, figure: str) -> float:
        """Return the median over all rounds."""
        return median(getattr(one.timing, figure) for one in self.by_name[what])

    def reached(self, target: Target) -> float:
        """Return a target's figure; if it is a ratio, the median of all rounds' ratios."""
        values = [getattr(one.timing, target.figure) for one in self.by_name[target.what]]
        if target.floor is None:
            return median(values)
        floors = [getattr(one.timing, target.figure) for one in self.by_name[target.floor]]
        return median(v / f for v, f in zip(values, floors, strict=True))

    def lines(self) -> Iterator[str]:
        """Return the lines of the report."""
        yield from (
            "",
            f"{'median of the rounds':<52}{'per second':>11}{'p50 ms':>9}{'p99 ms':>9}",
        )
        for what in self.by_name:
            yield f"{what:<52}{_rates(self._middle(what))}"
        yield from ("", f"{'CPU ms for each, by process':<52}")
        for what, results in self.by_name.items():
            if results[0].spent:
                yield f"{what:<52}{_spent(results)}"
        yield from ("", f"{'target':<52}{'reached':>11}  wanted")
        for target in _measured(self.by_name):
            value = self.reached(target)
            verdict = "" if target.met(value) else "  MISSED"
            yield f"{target.what:<52}{value:>11,.2f}  {target}{verdict}"
        yield ""
        for what, results in self.by_name.items():
            yield json.dumps({"bench": what, "rounds": [asdict(one) for one in results]})

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


def _measured(there: Mapping[str, object]) -> Iterable[Target]:
    return (t for t in TARGETS if t.what in there and (t.floor is None or t.floor in there))


def _rates(timing: Timing) -> str:
    shown = f"{timing.per_second:>11,.0f}"
    return shown + (f"{timing.p50:>9.1f}{timing.p99:>9.1f}" if timing.p50 else "")


def _spent(results: list[Result]) -> str:
    """Format the CPU milliseconds of one action in each process."""
    memory = {name: spent.rss_mb for name, spent in results[-1].spent.items()}
    return "  ".join(
        f"{name} {cost * 1000:.3f} ({memory[name]} MB)"
        for name, cost in cpu_seconds_each(results).items()
        if cost
    )
