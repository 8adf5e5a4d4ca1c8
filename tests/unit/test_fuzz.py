"""Whatever is in a record, it has exactly one fate, and the rules outlive it."""

import pytest

from tests.fuzz.worker import SOURCES, run
from topics.topic import Topic

RECORDS = 400


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("topic", SOURCES, ids=lambda topic: topic.name)
def test_a_broken_record_has_exactly_one_result(topic: Topic, seed: int):
    results = run(topic.name, seed, RECORDS)
    assert results.total() == RECORDS
    assert {"served", "dead letter"} <= results.keys()
