"""Gauges of a worker's partitions, which come and go."""

from faust.types import TP
from prometheus_client import generate_latest

from agents.runtime import metrics

ONE, OTHER = TP("a.requests", 8), TP("a.requests", 9)
LAG = 'kafka_consumer_lag_records{{partition="{}",topic="a.requests"}} {}'


def test_a_partition_that_is_revoked_has_no_gauges():
    metrics.update_gauges({ONE: 3, OTHER: 1}, {OTHER: 2.0}, OTHER, {})
    before = generate_latest().decode()
    metrics.update_gauges({ONE: 4}, {}, None, {})
    after = generate_latest().decode()

    assert LAG.format(8, 3.0) in before
    assert LAG.format(9, 1.0) in before
    assert LAG.format(8, 4.0) in after
    assert 'partition="9"' not in after
