"""Metrics of a worker; a service's own metrics are beside its rules.

Counters are incremented once for each batch, since a call for each record costs too much.
"""

import logging
import socket
from collections.abc import Iterable, Mapping
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import (
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    Metric,
    MetricsHandler,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # they double the number of series

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
    "1 while the worker recovers its tables, and processes no record.",
)
RECOVERED = Counter("recovery_records_total", "Changelog records read by recoveries.")

log = logging.getLogger(__name__)


class WorkerGauges(Collector):
    """Gauges of the worker, replaced as a whole: partitions come and go."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def update(
        self,
        lags: Mapping[Any, int],
        oldest: Mapping[Any, float],
        waiting: object,
        sizes: Mapping[str, int],
    ) -> None:
        """Replace all gauges: by partition, and the `sizes` by table."""
        self._metrics = [
            _gauge(
                "kafka_consumer_lag_records", "Uncommitted records of a partition.", lags
            ),
            _gauge(
                "kafka_consumer_oldest_batch_seconds",
                "Age of a partition's oldest batch in flight; 0: none is in flight.",
                {tp: oldest.get(tp, 0) for tp in lags},
            ),
            _gauge(
                "kafka_consumer_waiting",
                "1 for the partition that waits for its agent's capacity.",
                {tp: int(tp == waiting) for tp in lags},
            ),
            _gauge(
                "rocksdb_size_bytes",
                "Bytes of a table's rows, in files and memory.",
                {(table,): size for table, size in sizes.items()},
                ("table",),
            ),
        ]

    def collect(self) -> Iterable[Metric]:
        """Return the latest gauges."""
        return self._metrics


def _gauge(
    name: str,
    text: str,
    values: Mapping[Any, float],
    labels: tuple[str, ...] = ("topic", "partition"),
) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for of, value in values.items():
        gauge.add_metric([str(label) for label in of], value)
    return gauge


WORKER_GAUGES = WorkerGauges()
REGISTRY.register(WORKER_GAUGES)


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
