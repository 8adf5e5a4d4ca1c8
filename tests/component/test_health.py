"""What a container says about its process."""

import socket

import pytest

from agents.local.health import worker


def test_a_worker_is_well_while_it_is_connected_to_kafka(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        monkeypatch.setenv("KAFKA", f"elsewhere:1,127.0.0.1:{port}")
        assert not worker()
        with socket.create_connection(("127.0.0.1", port)):
            assert worker()
