"""The prober: the longest time without an answer, and what a line of its table shows."""

import asyncio
import time

import pytest

from tests.benchmarks.recovery.prober import Gaps, Prober, longest_gap
from tests.benchmarks.recovery.probing import Run, by_column, table_row
from tests.e2e.clients import Answer, NoAnswer


@pytest.mark.parametrize(
    ("answers", "gap"),
    [
        ([9.9, 10.0, 10.2, 13.0, 13.1, 20.0], 6.9),
        ([10.1, 10.2, 13.0, 19.9], 6.9),
        pytest.param([9.0, 12.0, 15.0, 18.0], 3.0, id="last answer before the period"),
        pytest.param([9.5, 10.5, 11.0], 9.0, id="unanswered tail"),
        pytest.param([9.0], 11.0, id="no answer within the period"),
        pytest.param([], 10.0, id="no answer at all"),
        pytest.param([1.0, 9.0, 10.0, 25.0], 10.0, id="answered after the period"),
        pytest.param([2.0, 8.0, 10.0, 15.0, 20.0], 5.0, id="gaps before do not count"),
    ],
)
def test_the_longest_gap_between_10_and_20(answers: list[float], gap: float):
    assert longest_gap(answers, 10.0, 20.0) == pytest.approx(gap)


class Client:
    """Answers queries of all numbers but the silent ones."""

    def __init__(self) -> None:
        self.silent: set[int] = set()
        self.queries = 0
        self._changed = asyncio.Condition()

    async def ask(self, call: str, body: dict, key: str | None = None) -> Answer:
        self.queries += 1
        (number,) = body.values()
        async with self._changed:
            await self._changed.wait_for(lambda: number not in self.silent)
        if call == "listOrder":
            return Answer({}, "unknown-order")
        return Answer({})

    async def answer_all(self) -> None:
        self.silent.clear()
        async with self._changed:
            self._changed.notify_all()


async def test_only_a_key_that_was_silent_has_a_long_gap():
    client = Client()
    prober = Prober({"HTTP": client, "Kafka": client}, 2, 0.02)
    number = prober.keys[0].number
    others = [key for key in prober.keys if key.number != number]
    async with prober.running():
        await prober.all_answered()
        began = time.monotonic()
        client.silent.add(number)
        await asyncio.sleep(0.3)
        assert prober.unanswered(began, time.monotonic()) > 6
        unfinished = prober.gaps(prober.keys[:1], began, time.monotonic())
        await client.answer_all()
        await prober.all_answered()
        ended = time.monotonic()
    silent = prober.gaps([k for k in prober.keys if k.number == number], began, ended)
    assert unfinished.worst > 0.25
    assert silent.p50 > 0.25
    assert prober.gaps(others, began, ended).worst < silent.p50
    assert prober.unanswered(began, ended) == 0


async def test_queries_are_sent_at_a_steady_rate_also_without_answers():
    client = Client()
    prober = Prober({"HTTP": client}, 1, 0.1)
    client.silent.add(prober.keys[0].number)
    began = time.monotonic()
    async with prober.running():
        await asyncio.sleep(0.5)
        due = (time.monotonic() - began) / 0.1 * len(prober.keys)
        sent = client.queries
        await client.answer_all()
    assert len(prober.keys) == 3
    assert sent == pytest.approx(due, abs=3)


async def test_a_query_that_fails_is_no_answer():
    class Failing:
        async def ask(self, call: str, body: dict) -> Answer:
            raise NoAnswer("unavailable")

    prober = Prober({"HTTP": Failing()}, 1, 0.02)
    began = time.monotonic()
    async with prober.running():
        await asyncio.sleep(0.2)
    ended = time.monotonic()
    assert prober.gaps(prober.keys, began, ended).p50 == pytest.approx(ended - began)


async def test_a_wrong_answer_ends_the_measurement():
    class Wrong:
        async def ask(self, call: str, body: dict) -> Answer:
            return Answer({}, "bad-request")

    with pytest.raises(ExceptionGroup) as raised:
        async with Prober({"HTTP": Wrong()}, 1, 0.02).running():
            await asyncio.sleep(5)
    assert raised.group_contains(AssertionError, match="bad-request")


def test_each_partition_has_one_key_of_each_topic_for_each_client():
    prober = Prober({"HTTP": Client(), "Kafka": Client()}, 8, 0.1)
    found = {(key.interface, key.call, key.partition(8)) for key in prober.keys}
    assert len(found) == len(prober.keys) == 2 * 3 * 8


def test_the_keys_of_a_worker_are_those_of_its_service_and_partitions():
    keys = Prober({"HTTP": Client(), "Kafka": Client()}, 8, 0.1).keys
    columns = by_column(keys, 8, ("loms-1", [0, 3, 4]))
    for name in ("HTTP", "Kafka"):
        found = [(key.call, key.partition(8)) for key in columns[name]]
        calls = ("listOrder", "stocks")
        assert sorted(found) == [(call, number) for call in calls for number in (0, 3, 4)]
    assert len(columns["other keys"]) == len(keys) - 12
    assert by_column(keys, 8, None).keys() == {"HTTP", "Kafka"}


def test_a_line_of_the_table_has_the_medians_of_all_runs():
    runs = [
        Run({"floor": Gaps(0.1, 0.12), "HTTP": Gaps(p50, 2 * p50), "Kafka": Gaps(1, 2)})
        for p50 in (0.5, 0.7, 9.0)
    ]
    assert table_row("SIGTERM", 1_000_000, runs) == (
        "| SIGTERM | 1,000,000 | 0.10 / 0.12 | 0.70 / 1.40 | 1.00 / 2.00 |  |"
    )
