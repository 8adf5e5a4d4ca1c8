"""Which cluster a tool works on: the running shop's of the directory, else `KAFKA`'s."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.ops.local.deployment import Deployment, save, settings
from topics.target import NoClusterError, choose, partitions, running_shop, socket_path

PORT = 1
HERE = f"127.0.0.1:{PORT}"
ELSEWHERE = "127.0.0.1:2"
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "secret",
}


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory, and an environment without any setting."""
    for name in settings(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def start(directory: Path) -> Iterator[Callable[..., None]]:
    """Save the state of a shop of processes, and listen at its supervisor's socket."""
    supervisor = socket.socket(socket.AF_UNIX)

    def listen(given: dict[str, str] | None = None, **different: object) -> None:
        save(Deployment(directory, kafka_port=PORT, partitions=3, **different), given or {})
        path = socket_path(directory)
        path.parent.mkdir(exist_ok=True)
        supervisor.bind(str(path))
        supervisor.listen()

    yield listen
    supervisor.close()
    socket_path(directory).unlink(missing_ok=True)


def containers(directory: Path, monkeypatch: pytest.MonkeyPatch, ids: str) -> None:
    """Save the state of a shop of containers, and fake an engine that lists these ids."""
    save(Deployment(directory / "compose", kafka_port=PORT, partitions=5), {})
    docker = directory / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f"#!/bin/sh\necho '{ids}'\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        "agents dlq list",
        "agents stock load --yes",
        "agents forget 1 --yes",
        "agents ui --port 31998",
        "topics check",
        "topics create --yes",
        "agents.ops.audit",
    ],
)
def test_every_tool_works_on_the_shop_of_the_directory_and_names_it_first(
    start: Callable[..., None], directory: Path, tmp_path: Path, words: str
):
    start()
    file = tmp_path / "goods.csv"
    file.write_text("sku,warehouseID,count\n1,1,5\n")
    ran = run(*words.split(), *([str(file)] if "load" in words else []))
    assert ran.returncode == (2 if "audit" in words else 1)
    first, last = (ran.stdout + ran.stderr).splitlines()
    _, _, origin = first.partition(": ")
    assert origin == f"Kafka at {HERE}, the cluster of the shop in {directory}"
    assert f": Kafka at {HERE}: " in last


@pytest.mark.parametrize(
    "words",
    [
        "agents dlq list",
        "agents forget 1 --yes",
        "agents ui",
        "topics check",
        "topics create --yes",
        "agents.ops.audit",
        "agents.ops.local ui",
        "agents.ops.local demo",
        "agents.ops.local audit",
    ],
)
def test_without_a_shop_and_without_kafka_a_tool_ends_with_the_reason(
    directory: Path, words: str
):
    ran = run(*words.split())
    assert ran.returncode in (1, 2)
    assert not ran.stdout
    [line] = ran.stderr.splitlines()
    assert "make run-all" in line
    if "local" not in words:
        assert f"the shop of {directory} does not run, and KAFKA is not set" in line


def test_a_stopped_shop_is_none(directory: Path, monkeypatch: pytest.MonkeyPatch):
    save(Deployment(directory, kafka_port=PORT), {})
    assert running_shop(directory) is None
    monkeypatch.setenv("KAFKA", ELSEWHERE)
    cluster, origin = choose()
    assert (cluster.kafka, origin) == (ELSEWHERE, "the cluster of KAFKA")


def test_the_running_shop_wins_and_ignored_settings_are_named(
    start: Callable[..., None], directory: Path, monkeypatch: pytest.MonkeyPatch
):
    start()
    monkeypatch.setenv("KAFKA", ELSEWHERE)
    monkeypatch.setenv("PARTITIONS", "4")
    cluster, origin = choose()
    assert (cluster.kafka, cluster.partitions) == (HERE, 3)
    ignored = f"(ignored: KAFKA={ELSEWHERE}, PARTITIONS=4)"
    assert origin == f"the cluster of the shop in {directory} {ignored}"


def test_settings_equal_to_those_of_the_shop_are_not_ignored(
    start: Callable[..., None], directory: Path, monkeypatch: pytest.MonkeyPatch
):
    start()
    monkeypatch.setenv("KAFKA", HERE)
    monkeypatch.setenv("PARTITIONS", "3")
    assert choose()[1] == f"the cluster of the shop in {directory}"


def test_the_shop_s_own_broker_needs_no_login(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    start()
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    options = choose()[0].client_options()
    assert options == {"bootstrap_servers": [HERE], "security_protocol": "PLAINTEXT"}


def test_a_guarded_cluster_needs_the_login_also_for_the_tool(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    start(given=dict.fromkeys(LOGIN, "digest"), kafka="k:9")
    with pytest.raises(NoClusterError) as error:
        choose()
    assert ", ".join(sorted(LOGIN)) in str(error.value)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    cluster, _ = choose()
    assert (cluster.kafka, cluster.kafka_sasl_username) == ("k:9", "me")


def test_a_shop_of_containers_counts_while_they_run(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    containers(directory, monkeypatch, "4f2a")
    cluster, origin = choose()
    assert (cluster.kafka, cluster.partitions) == (HERE, 5)
    assert origin == f"the cluster of the shop in {directory / 'compose'}"


def test_a_shop_of_containers_that_do_not_run_is_none(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    containers(directory, monkeypatch, "")
    with pytest.raises(NoClusterError):
        choose()


def test_topics_are_described_with_the_partitions_of_the_running_shop(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PARTITIONS", "6")
    assert partitions() == 6
    start()
    assert partitions() == 3


def test_topics_are_described_without_any_cluster():
    ran = run("topics", "describe")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "cart.requests" in ran.stdout
