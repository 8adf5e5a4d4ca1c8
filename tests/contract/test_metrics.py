"""The metrics of each process: valid for Prometheus, and those of the dashboard."""

import json
import re
from pathlib import Path

import pytest
from faust.types import TP
from prometheus_client import generate_latest

from agents.loms import service as loms
from agents.notifications import delivery as notifications
from agents.products import client as products
from agents.runtime import metrics as worker
from gateway import app as gateway
from tests.contract.exposition import Family, asked_for, complaints, families, promtool

OBSERVABILITY = Path(__file__).parents[2] / "agents/ops/observability"
COUNTED_IN = (loms, notifications, products, worker, gateway)
BASE_UNITS = ("seconds", "bytes", "records")
OTHER_UNITS = (
    r"(^|_)(ms|millis\w*|micros\w*|nanos\w*|minutes?|hours?|[kmg]i?b|kilo\w*|mega\w*)(_|$)"
)
THEIRS = ("python_", "process_")  # the client library's own


@pytest.fixture(scope="module")
def text() -> str:
    tp, idle = TP("order.requests", 3), TP("order.requests", 4)
    worker.update_gauges({tp: 5, idle: 0}, {tp: 12.5}, tp, {"orders": 2**20})
    gateway.REQUESTS.labels("stocks", gateway.OK).inc()
    gateway.SECONDS.labels("stocks", gateway.OK).observe(0.004)
    worker.BATCH.labels("order.requests").observe(7)
    return generate_latest().decode()


@pytest.fixture(scope="module")
def all_there_is(text: str) -> dict[str, Family]:
    return families(text)


@pytest.fixture(scope="module")
def ours(all_there_is: dict[str, Family]) -> list[Family]:
    found = [f for n, f in all_there_is.items() if not n.startswith(THEIRS)]
    assert len(found) > len(COUNTED_IN)
    return found


def test_each_metric_says_what_it_is(all_there_is: dict[str, Family]):
    assert [f.name for f in all_there_is.values() if not (f.help and f.kind)] == []


def test_counters_and_nothing_else_are_totals(all_there_is: dict[str, Family]):
    for family in all_there_is.values():
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name


def test_names_are_plain_and_tell_base_units(ours: list[Family]):
    for family in ours:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", family.name), family.name
        assert not re.search(OTHER_UNITS, family.name), family.name
        if family.kind == "histogram":
            assert family.name.endswith(BASE_UNITS), family.name


def test_no_name_looks_like_a_part_of_a_histogram(all_there_is: dict[str, Family]):
    names = [f.name for f in all_there_is.values() if f.kind != "histogram"]
    assert [n for n in names if n.endswith(("_bucket", "_count", "_sum"))] == []


def test_no_label_tells_people_or_orders_apart(ours: list[Family]):
    labels = {n for f in ours for _, has in f.series for n, _ in has}
    few = {"call", "outcome", "topic", "partition", "table", "status", "transport", "le"}
    assert labels <= few | {"grpc_service", "grpc_method", "grpc_code"}


def test_what_is_told_is_what_was_counted(all_there_is: dict[str, Family]):
    lag = all_there_is["kafka_consumer_lag_records"]
    assert lag.value(topic="order.requests", partition="3") == 5
    oldest = all_there_is["kafka_consumer_oldest_batch_seconds"]
    assert oldest.value(partition="3") == 12.5
    assert oldest.value(partition="4") == 0
    waiting = all_there_is["kafka_consumer_waiting"]
    assert (waiting.value(partition="3"), waiting.value(partition="4")) == (1, 0)
    assert all_there_is["rocksdb_size_bytes"].value(table="orders") == 2**20
    assert all_there_is["kafka_consumer_batch_records"].value("_sum") >= 7


def test_promtool_finds_nothing_to_complain_of(text: str):
    assert complaints(text) == ""


def test_promtool_understands_the_configuration():
    files = map(str, OBSERVABILITY.glob("prometheus*.yml"))
    ran = promtool("check", "config", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def panels() -> list[dict]:
    return json.loads((OBSERVABILITY / "grafana/shop.json").read_text())["panels"]


def test_each_panel_has_a_place_and_a_number_of_its_own(panels: list[dict]):
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len({*places}) == len({p["id"] for p in panels}) == len(panels) > 20
    assert all(target["expr"] for p in panels for target in p["targets"])


def test_the_dashboard_shows_every_metric_of_ours_and_no_other(
    ours: list[Family], panels: list[dict]
):
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    shown = {name for query in queries for name in asked_for(query)}
    assert {n for n in shown if not n.startswith(THEIRS)} <= {
        name for family in ours for name in family.names
    }
    assert [f.name for f in ours if not f.names & shown] == ["recovery_records_total"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("a_total", ["a_total"]),
        ('sum by (le, b) (rate(a_bucket{c="d e"}[5m])) / b', ["a_bucket", "b"]),
        ("histogram_quantile(0.99, a)", ["a"]),
    ],
)
def test_the_names_in_a_query_are_found(query: str, names: list[str]):
    assert list(asked_for(query)) == names
