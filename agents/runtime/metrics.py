"""What a worker counts, for Prometheus; what is of one service only is counted there.

Counted is by the batch: what is said of each record costs each record.
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
    Histogram,
    Metric,
    MetricsHandler,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.worker.settings import WorkerSettings

disable_created_metrics()  # series that tell when others began; twice as many for nothing

RECORDS = Counter("kafka_consumer_records_total", "Records that were read.", ["topic"])
BATCH = Histogram(
    "kafka_consumer_batch_records",
    "Records of a batch, all of one partition.",
    ["topic"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
DEAD_LETTERS = Counter(
    "dead_letters_total",
    "Records that could not be served; one that comes again is one more.",
    ["topic"],
)
ORDERS = Counter(
    "orders_total",
    "Orders that took a status; one that is told again after a crash is one more.",
    ["status"],
)
RECOVERY = Histogram(
    "recovery_duration_seconds",
    "From partitions that were assigned to tables that are complete.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
)
RECOVERED = Counter("recovery_records_total", "Changelog records that were read for it.")

log = logging.getLogger(__name__)


class WorkerGauges(Collector):
    """What the worker has at the moment, told as a whole: partitions come and go."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def update(self, lags: Mapping[Any, int], sizes: Mapping[str, int]) -> None:
        """Say how it is.

        Args:
            lags: by partition, records that lie there and are not committed.
            sizes: by table, bytes of its rows on disk and in memory.
        """
        lag = GaugeMetricFamily(
            "kafka_consumer_lag_records",
            "Records of a partition that are not carried out and committed yet.",
            labels=("topic", "partition"),
        )
        for tp, records in lags.items():
            lag.add_metric((tp.topic, str(tp.partition)), records)
        size = GaugeMetricFamily(
            "rocksdb_size_bytes",
            "Of a table's rows, in files and memory.",
            labels=["table"],
        )
        for table, size_bytes in sizes.items():
            size.add_metric([table], size_bytes)
        self._metrics = [lag, size]

    def collect(self) -> Iterable[Metric]:
        """Return what was told last."""
        return self._metrics


WORKER_GAUGES = WorkerGauges()
REGISTRY.register(WORKER_GAUGES)


class _Handler(MetricsHandler):
    def version_string(self) -> str:
        """Return the `Server` header, which is else the version of Python."""
        return "shop"


class MetricsServer(ThreadingHTTPServer):
    """Answers Prometheus."""

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)


def serve(settings: WorkerSettings) -> None:
    """Answer Prometheus on a port of this worker's, if it has one.

    By a thread, so that it answers before there is a Kafka, too. A port that somebody else
    has is no reason not to work.
    """
    if not settings.metrics_port:
        return
    try:
        server = MetricsServer(settings.metrics_host, settings.metrics_port)
    except OSError as why:
        log.error("no metrics port=%d reason=%r", settings.metrics_port, str(why))  # noqa: TRY400
    else:
        Thread(target=server.serve_forever, name="metrics", daemon=True).start()
