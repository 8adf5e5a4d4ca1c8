"""The port of a worker's metrics."""

import socket
from urllib.request import urlopen

import pytest

from agents.ops.local.deployment import Deployment, from_environment
from agents.ops.local.native import processes
from agents.runtime import metrics
from agents.worker.settings import WorkerSettings
from topics.cli import CommandError


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def test_it_tells_on_the_port_that_it_was_given(port: int):
    metrics.serve(port, WorkerSettings().metrics_host)
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"kafka_consumer_records_total" in answer.read()
        assert answer.headers["Server"] == "shop"


def test_an_ipv6_address_is_as_good():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as door:
        port = door.getsockname()[1]
    metrics.serve(port, "::1")
    with urlopen(f"http://[::1]:{port}/metrics") as answer:
        assert answer.status == 200


def test_what_is_no_request_is_told_no_version_either(port: int):
    metrics.serve(port, WorkerSettings().metrics_host)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / nonsense HTTP/1.0\r\n\r\n")
        response = client.makefile("rb").read()
    assert b"Error code: 400" in response
    assert b"Python" not in response


def test_a_port_that_is_taken_is_an_error_and_no_end(caplog):
    with socket.create_server(("127.0.0.1", 0)) as door:
        taken = door.getsockname()[1]
        metrics.serve(taken, WorkerSettings().metrics_host)
    assert [(r.levelname, str(taken) in r.message) for r in caplog.records] == [
        ("ERROR", True)
    ]


def test_without_a_port_it_listens_nowhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "MetricsServer", None)
    monkeypatch.delenv("METRICS_PORT", raising=False)
    metrics.serve(0, WorkerSettings().metrics_host)
    assert WorkerSettings().metrics_port == 0


def ports(shop: Deployment) -> dict[str, str]:
    own = ((one.name, one.environment.get("METRICS_PORT")) for one in processes(shop))
    return {name: port for name, port in own if port}


def test_each_worker_of_a_shop_has_a_port_and_keeps_it():
    few = ports(Deployment(loms_workers=2))
    assert few == {
        "products-1": "9180",
        "notifications-1": "9181",
        "loms-1": "9182",
        "loms-2": "9184",
        "checkout-1": "9183",
    }
    many = ports(Deployment(loms_workers=64, checkout_workers=64))
    assert few.items() <= many.items()
    assert len(set(many.values())) == len(many)


def test_no_port_is_as_good_a_choice():
    assert set(ports(from_environment({"METRICS_PORT": "0"})).values()) == {"0"}
    assert ports(from_environment({"METRICS_PORT": "9300"}))["loms-1"] == "9302"
    with pytest.raises(CommandError, match="METRICS_PORT"):
        from_environment({"METRICS_PORT": "32700"})
