"""The metrics of notifications, for Prometheus."""

from prometheus_client import Counter, Gauge

NOTICES = Counter(
    "notices_total",
    "Attempts by outcome: sent, refused, opted out, or failed and retried.",
    ["transport", "outcome"],
)
PENDING = Gauge(
    "notices_pending",
    "Notifications of this worker's partitions that a transport has not delivered yet.",
    ["transport"],
)
OLDEST_PENDING = Gauge(
    "notices_oldest_pending_seconds",
    "Age of the oldest event that a transport has not delivered yet; 0 without one.",
    ["transport"],
)
UP = Gauge(
    "notices_transport_up",
    "0 if the last answer of a transport was a failure of the transport itself.",
    ["transport"],
)


def count(transport: str, outcome: str) -> None:
    """Count an attempt of a transport."""
    NOTICES.labels(transport, outcome).inc()
