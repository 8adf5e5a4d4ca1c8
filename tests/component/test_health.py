"""The health checks of containers."""

import asyncio
import socket
from pathlib import Path

import pytest
import trustme

from agents.ops.local import health
from agents.ops.local.health import worker
from tests.component.gateway_process import running
from topics.kafka.settings import KafkaSettings


def test_a_worker_is_healthy_while_it_is_connected_to_kafka(
    monkeypatch: pytest.MonkeyPatch,
):
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        monkeypatch.setenv("KAFKA", f"elsewhere:1,127.0.0.1:{port}")
        assert not worker()
        with socket.create_connection(("127.0.0.1", port)):
            assert worker()


@pytest.mark.parametrize("has_tls", [False, True])
async def test_a_gateway_is_healthy_with_and_without_tls_and_tokens(
    cluster: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tls: bool
):
    tokens, cert, key = (tmp_path / name for name in ("tokens", "cert", "key"))
    tokens.touch()
    issued = trustme.CA().issue_cert("shop.example")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    tls = {"GATEWAY_TLS_CERT": str(cert), "GATEWAY_TLS_KEY": str(key)} if has_tls else {}
    async with running(cluster.kafka, GATEWAY_TOKENS=str(tokens), **tls) as gateway:
        monkeypatch.setattr(health, "GATEWAY_PORT", gateway.door.port)
        for name, value in tls.items():
            monkeypatch.setenv(name, value)
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(health.gateway):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
