"""The table of `python -m agents status`, and what is read from workers' metrics."""

import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner
from faust.types import TP
from prometheus_client import generate_latest

from agents.notifications import delivery as notifications
from agents.ops.local.deployment import Deployment
from agents.ops.status import (
    PartitionStatus,
    metrics_urls,
    parse_metrics,
    standbys,
    status,
    table,
    transports,
)
from agents.runtime import metrics

OWNED = PartitionStatus(TopicPartition("a.requests", 0), "loms-1@10.0.0.7", 5, 12, 7)
FREE = PartitionStatus(TopicPartition("a.requests", 11), None, None, 3, 3)
OLDEST = ("kafka_consumer_oldest_batch_seconds", "0", "a.requests")
RECOVERING = ("recovery_in_progress",)


def test_the_table_has_a_line_for_each_partition():
    lines = table([OWNED, FREE], {"loms-1": {RECOVERING: 0, OLDEST: 12.6}})

    assert (
        "\n".join(lines)
        == """\
TOPIC       PARTITION  OWNER            COMMITTED  END  LAG  OLDEST  RECOVERING
a.requests          0  loms-1@10.0.0.7          5   12    7    13 s  no
a.requests         11  -                        -    3    3       -  -"""
    )


def test_a_worker_s_metrics_are_read_as_it_writes_them():
    tp = TP("a.requests", 0)
    metrics.update_gauges({tp: 7}, {tp: 12.5}, None, {})
    metrics.RECOVERING.set(1)
    notifications.PENDING.labels("mail").set(4)
    notifications.OLDEST_PENDING.labels("mail").set(61)
    notifications.UP.labels("mail").set(0)
    try:
        found = parse_metrics(generate_latest().decode())
    finally:
        metrics.RECOVERING.set(0)

    assert found[RECOVERING] == 1
    assert {key: age for key, age in found.items() if key[0] == OLDEST[0]} == {OLDEST: 12.5}
    # Other tests of this process have transports, too.
    lines = list(transports({"notifications-1": found}))
    assert "notifications-1: mail down, 4 pending, oldest 61 s" in lines


def test_a_standby_is_shown_with_its_largest_lag():
    tps = {TP("a-changelog", 0): 3, TP("a-changelog", 4): 9, TP("b-changelog", 0): 0}
    metrics.update_standby_gauges(tps)
    metrics.update_standby_gauges(tps | {TP("a-changelog", 4): 5})
    lines = list(standbys({"loms-2": parse_metrics(generate_latest().decode())}))
    metrics.update_standby_gauges({})

    assert lines == [
        "loms-2: standby of 2 partitions of a-changelog, at most 5 records behind",
        "loms-2: standby of 1 partitions of b-changelog, at most 0 records behind",
    ]
    assert not list(standbys({"loms-2": parse_metrics(generate_latest().decode())}))


@pytest.mark.parametrize("recovering", [True, False])
def test_a_partition_has_the_metrics_of_its_owner(recovering: bool):
    workers = {"loms-1": {RECOVERING: float(recovering), OLDEST: 3.0}}

    assert OWNED.cells(workers)[-2:] == ("3 s", "yes" if recovering else "no")
    assert OWNED.cells({"loms-2": workers["loms-1"]})[-2:] == ("-", "-")
    assert FREE.cells(workers)[-2:] == ("-", "-")


def test_the_running_shop_s_workers_have_their_ports():
    shop = Deployment(loms_workers=2, metrics_port=9180)

    assert metrics_urls(shop) == {
        "checkout-1": "http://127.0.0.1:9183/metrics",
        "loms-1": "http://127.0.0.1:9182/metrics",
        "loms-2": "http://127.0.0.1:9184/metrics",
        "products-1": "http://127.0.0.1:9180/metrics",
        "notifications-1": "http://127.0.0.1:9181/metrics",
    }
    assert metrics_urls(Deployment(metrics_port=0)) == {}


@pytest.mark.parametrize("words", ["loms-1", "=http://a/metrics", "a=ftp://b"])
def test_a_worker_without_an_address_is_refused(words: str):
    ran = CliRunner().invoke(status, ["--metrics", words])
    assert ran.exit_code == 2
    assert "is not WORKER=URL" in ran.output
