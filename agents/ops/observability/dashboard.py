"""The dashboard as a table; Grafana reads what this makes of it.

python -m agents.ops.observability.dashboard   writes grafana/shop.json
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FILE = HERE / "grafana" / "shop.json"
_ACROSS, _HIGH = 3, 8
_GRID_WIDTH = 24


class Panel(NamedTuple):
    """One picture.

    Attributes:
        unit: as Grafana calls it.
        queries: what each line is called, by its PromQL.
    """

    title: str
    unit: str
    queries: dict[str, str]


def _per_second(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _quantiles(histogram: str, by: str = "") -> dict[str, str]:
    """Return p50 and p99; each by a label, if one is given."""
    rate = _per_second(f"{histogram}_bucket", f"le, {by}" if by else "le")
    name = f" {{{{{by}}}}}" if by else ""
    return {f"histogram_quantile({q}, {rate})": f"p{q[2:]}{name}" for q in ("0.50", "0.99")}


PANELS = (
    Panel("Calls", "reqps", {_per_second("http_requests_total", "call"): "{{call}}"}),
    Panel("Latency", "s", _quantiles("http_request_duration_seconds", "call")),
    Panel(
        "What was not answered as asked",
        "reqps",
        {
            _per_second(
                'http_requests_total{outcome!="ok"}', "call, outcome"
            ): "{{call}} {{outcome}}"
        },
    ),
    Panel("In flight", "short", {"http_requests_in_flight": "{{instance}}"}),
    Panel(
        "Records read",
        "cps",
        {_per_second("kafka_consumer_records_total", "topic"): "{{topic}}"},
    ),
    Panel("Lag", "short", {"sum by (topic) (kafka_consumer_lag_records)": "{{topic}}"}),
    Panel(
        "Records of a batch", "short", _quantiles("kafka_consumer_batch_records", "topic")
    ),
    Panel(
        "Dead letters",
        "short",
        {"sum by (topic) (increase(dead_letters_total[5m]))": "{{topic}} in 5 min"},
    ),
    Panel("Orders", "cps", {_per_second("orders_total", "status"): "{{status}}"}),
    Panel("createOrder → awaiting payment", "s", _quantiles("order_saga_duration_seconds")),
    Panel("Cancelled too late by", "s", _quantiles("order_timeout_lateness_seconds")),
    Panel(
        "Notices",
        "cps",
        {_per_second("notices_total", "transport, outcome"): "{{transport}} {{outcome}}"},
    ),
    Panel(
        "Notices pending",
        "short",
        {"sum by (transport) (notices_pending)": "{{transport}}"},
    ),
    Panel(
        "Oldest pending notice",
        "s",
        {"max by (transport) (notices_oldest_pending_seconds)": "{{transport}}"},
    ),
    Panel(
        "Transports up",
        "short",
        {"min by (transport) (notices_transport_up)": "{{transport}}"},
    ),
    Panel("ProductService", "s", _quantiles("grpc_client_handling_seconds", "grpc_code")),
    Panel(
        "ProductService: calls, retries",
        "cps",
        {
            _per_second("grpc_client_handling_seconds_count", "grpc_code"): "{{grpc_code}}",
            _per_second(
                "grpc_client_retries_total", "grpc_code"
            ): "again after {{grpc_code}}",
        },
    ),
    Panel("Recovery", "s", _quantiles("recovery_duration_seconds")),
    Panel("Rows", "bytes", {"sum by (table) (rocksdb_size_bytes)": "{{table}}"}),
    Panel("Memory", "bytes", {"process_resident_memory_bytes": "{{service}} {{instance}}"}),
    Panel(
        "Processor",
        "percentunit",
        {"rate(process_cpu_seconds_total[$__rate_interval])": "{{service}} {{instance}}"},
    ),
)


def dashboard() -> dict[str, Any]:
    """Return it as Grafana stores dashboards."""
    return {
        "uid": "shop",
        "title": "The shop",
        "description": "Made by agents/ops/observability/dashboard.py.",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": [_picture(number, panel) for number, panel in enumerate(PANELS)],
    }


def _picture(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _ACROSS)
    width = _GRID_WIDTH // _ACROSS
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"x": column * width, "y": row * _HIGH, "w": width, "h": _HIGH},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": name}
            for place, (query, name) in enumerate(panel.queries.items())
        ],
    }


def text() -> str:
    """Return what Grafana reads."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
