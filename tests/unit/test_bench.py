"""What `make bench` counts, and what its report compares."""

import asyncio
import re
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from agents.ops.local.deployment import REPOSITORY
from tests.benchmarks import preloaded
from tests.benchmarks.customers import Timing
from tests.benchmarks.meter import Spent
from tests.benchmarks.preloaded import Replies, rates
from tests.benchmarks.results import ECHO, P50, PEER, PER_SECOND, RECEIVE, Result, Results
from topics.kafka.headers import CORRELATION_ID


class Consumer:
    """Fetches replies by their numbers, each time ten seconds later."""

    def __init__(self, *fetches: range) -> None:
        self.now = 100.0
        self._fetches = iter(fetches)

    async def getmany(self, timeout_ms: int) -> dict:
        self.now += 10
        fetched = next(self._fetches)
        replies = [SimpleNamespace(headers=[(CORRELATION_ID, b"%d" % n)]) for n in fetched]
        return {TopicPartition("replies", 0): replies}


@pytest.mark.parametrize(
    ("fetches", "seconds"),
    [
        ([range(0), range(3), range(3, 6), range(6, 9)], [20, 30, 40]),
        ([range(7), range(7), range(9)], [10, 10, 30]),
    ],
    ids=["from the start, not from the first reply", "a repeated reply counts once"],
)
async def test_a_preloaded_run_counts(monkeypatch, fetches, seconds):
    consumer = Consumer(*fetches)
    monkeypatch.setattr(preloaded, "perf_counter", lambda: consumer.now)

    assert await Replies(consumer).receive(9) == seconds


async def test_the_lag_of_replies_is_the_worst_since_the_start(monkeypatch):
    ends = iter([(10, 5), (30, 7), (50, 5), (50, 25)])  # of rows, two each, and of replies
    ended = asyncio.Event()

    class Logs:
        async def end_offsets(self, partitions: list) -> dict:
            both = next(ends, None)
            if both is None:
                ended.set()
                await asyncio.Event().wait()
            first = [TopicPartition(name, 0) for name in ("rows", preloaded.REPLIES)]
            return dict.fromkeys(partitions, 0) | dict(zip(first, both, strict=True))

    monkeypatch.setattr(preloaded, "SAMPLE_SECONDS", 0)
    async with Replies(Logs()).watched("rows") as lag:
        await ended.wait()

    assert lag.most == 20


def test_the_rate_of_each_third():
    assert rates(900, [3, 5, 6]) == [100, 150, 300]


def measured(rate: float, p50: float, **cpu_seconds: float) -> Result:
    spent = {name: Spent(seconds, 1) for name, seconds in cpu_seconds.items()}
    return Result(Timing(rate, p50, p50), 1.0, spent)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    results = Results()
    for ours, floor in [(10, 100), (80, 100), (50, 200)]:
        results.add(RECEIVE, measured(ours, 1, loms=1, load=0))
        results.add(ECHO, measured(floor, 1, echo=1, load=0))

    assert results.ratio(RECEIVE, ECHO, PER_SECOND) == 0.25


def test_a_peer_is_compared_by_rate_latency_and_cpu_without_the_load():
    results = Results()
    results.add("story", measured(50, 6, kafka=1, loms=2, load=40))
    results.add(f"story{PEER}other", measured(100, 4, kafka=2, other=1, load=1))

    line = next(line for line in results.lines() if line.endswith("2.00"))
    assert line.split() == ["story", "|", "other", "0.50", "1.50", "2.00"]
    assert results.middle("story", P50) == 6


def test_the_peer_has_the_brokers_version_of_kafka():
    version = re.compile(
        r"<groupId>org.apache.kafka</groupId>.*?<version>(.*?)<", re.DOTALL
    )
    poms = ("topics/broker/pom.xml", "tests/benchmarks/streams/pom.xml")

    assert len({version.search((REPOSITORY / pom).read_text())[1] for pom in poms}) == 1
