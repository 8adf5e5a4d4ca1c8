"""Whatever is in a record, it has exactly one fate, and the rules outlive it."""

import pytest

from tests.fuzz.desk import SOURCES, run
from topics.topic import Topic

RECORDS = 400


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("topic", SOURCES, ids=lambda topic: topic.name)
def test_a_broken_record_is_served_passed_on_buried_or_refused(topic: Topic, seed: int):
    fates = run(topic.name, seed, RECORDS)
    assert fates.total() == RECORDS
    assert {"served", "buried"} <= fates.keys()
