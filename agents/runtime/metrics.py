"""Metrics of a worker; each service's own metrics are in its folder.

Counters are incremented once for each batch, since a call for each record costs too much.
"""

import logging
import socket
from collections.abc import Mapping
from functools import cache
from http.server import ThreadingHTTPServer
from threading import Thread

from aiokafka import TopicPartition
from prometheus_client import (
    Counter,
    Gauge,
    Histogram,
    MetricsHandler,
    disable_created_metrics,
)

disable_created_metrics()  # they double the number of series

_TP = ("topic", "partition")
RECORDS = Counter("kafka_consumer_records_total", "Records read.", ["topic"])
BATCH = Histogram(
    "kafka_consumer_batch_records",
    "Records of one poll of a topic, over its partitions.",
    ["topic"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
DEAD_LETTERS = Counter(
    "dead_letters_total",
    "Records sent to a dead letter topic; a redelivered one counts again.",
    ["topic"],
)
RECOVERY = Histogram(
    "recovery_duration_seconds",
    "From the assignment of partitions to their recovered tables.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
)
RECOVERING = Gauge(
    "recovery_in_progress",
    "1 while the worker recovers tables of partitions that it does not serve yet.",
)
RECOVERED = Counter("recovery_records_total", "Changelog records read by recoveries.")

DROPPED = Counter("rows_dropped_total", "Rows deleted after their retention.", ["table"])

STANDBY_LAG = Gauge(
    "standby_lag_records",
    "Changelog records that this worker has not read, of a partition that it follows.",
    _TP,
)
LAG = Gauge("kafka_consumer_lag_records", "Uncommitted records of a partition.", _TP)
OLDEST = Gauge(
    "kafka_consumer_oldest_batch_seconds",
    "Age of a partition's oldest batch in flight; 0: none is in flight.",
    _TP,
)
WAITING = Gauge(
    "kafka_consumer_waiting",
    "1 for the partition that waits for its agent's capacity.",
    _TP,
)
SIZE = Gauge(
    "rocksdb_size_bytes", "Bytes of a table's rows, in files and memory.", ["table"]
)
_partitions: set[TopicPartition] = set()
_followed: set[TopicPartition] = set()

log = logging.getLogger(__name__)


@cache
def _of_topic(topic: str) -> tuple[Counter, Histogram]:
    return RECORDS.labels(topic), BATCH.labels(topic)


def count_poll(topic: str, records: int) -> None:
    """Count the records of one poll of a topic."""
    all_records, batch = _of_topic(topic)
    all_records.inc(records)
    batch.observe(records)


def update_gauges(
    lags: Mapping[TopicPartition, int],
    oldest: Mapping[TopicPartition, float],
    waiting: TopicPartition | None,
    sizes: Mapping[str, int],
) -> None:
    """Set the gauges of the partitions, and sizes by table; remove other partitions."""
    for tp, lag in lags.items():
        LAG.labels(*tp).set(lag)
        OLDEST.labels(*tp).set(oldest.get(tp, 0))
        WAITING.labels(*tp).set(tp == waiting)
    for tp in _partitions - lags.keys():
        for gauge in (LAG, OLDEST, WAITING):
            gauge.remove(*tp)
    _partitions.clear()
    _partitions.update(lags)
    for table, size in sizes.items():
        SIZE.labels(table).set(size)


def update_standby_gauges(lags: Mapping[TopicPartition, int]) -> None:
    """Set the gauges of the partitions that are followed; remove others."""
    for tp, lag in lags.items():
        STANDBY_LAG.labels(*tp).set(lag)
    for tp in _followed - lags.keys():
        STANDBY_LAG.remove(*tp)
    _followed.clear()
    _followed.update(lags)


class _Handler(MetricsHandler):
    def version_string(self) -> str:  # the `Server` header, by default Python's version
        return "shop"


class MetricsServer(ThreadingHTTPServer):
    """Serves Prometheus."""

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)


def serve(port: int, host: str) -> None:
    """Serve Prometheus on the worker's port, if it has one.

    A thread serves it, so metrics exist before Kafka does. A port in use is logged: the
    worker runs without metrics.
    """
    if not port:
        return
    try:
        server = MetricsServer(host, port)
    except OSError as error:
        log.error("event=no-metrics port=%d reason=%r", port, str(error))  # noqa: TRY400
    else:
        Thread(target=server.serve_forever, name="metrics", daemon=True).start()
