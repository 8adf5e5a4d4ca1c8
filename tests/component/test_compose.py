"""The shop in containers, with a `docker` that only writes its commands down."""

import os
from pathlib import Path

import pytest

from agents.ops.local import compose
from agents.ops.local.deployment import (
    Deployment,
    from_environment,
    load,
    settings,
)
from topics.cli import CommandError


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of docker, with the time to pay that compose receives."""
    log, docker = tmp_path / "log", tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    shown = "$PAYMENT_TIMEOUT_SECONDS $WEBHOOK_URL $*"
    docker.write_text(f'#!/bin/sh\necho "{shown}" >> {log}\nexit $FAILURE\n')
    docker.chmod(0o755)
    for name in settings(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RUN_DIR", str(tmp_path / "run"))
    return log


@pytest.fixture
def shop(log: Path) -> Deployment:
    return compose.in_containers(from_environment())


def started(log: Path) -> str:
    """Return the last command that starts containers."""
    return next(line for line in reversed(log.read_text().splitlines()) if " up " in line)


def test_a_changed_setting_is_passed_on_and_the_others_stay(
    log: Path, shop: Deployment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PAYMENT_TIMEOUT_SECONDS", "5")
    monkeypatch.setenv("WEBHOOK_URL", "http://h")
    compose.up(shop)
    assert started(log).startswith("5 http://h compose up -d --wait")
    monkeypatch.delenv("WEBHOOK_URL")
    monkeypatch.setenv("PAYMENT_TIMEOUT_SECONDS", "7")
    compose.up(shop)
    assert started(log).startswith("7 http://h compose up -d --wait")


def test_counts_and_ports_stay_until_they_are_given(
    log: Path, shop: Deployment, monkeypatch: pytest.MonkeyPatch
):
    compose.up(shop)
    monkeypatch.setenv("LOMS_WORKERS", "3")
    compose.scale(shop)
    assert "--no-build --scale checkout=1 --scale loms=3" in started(log)
    monkeypatch.delenv("LOMS_WORKERS")
    monkeypatch.setenv("KAFKA_PORT", "9392")
    compose.up(shop)
    assert "--scale loms=3" in started(log)
    saved, _ = load(shop.directory)
    assert (saved.loms_workers, saved.kafka_port) == (3, 9392)
    assert saved.directory == shop.directory


def test_a_failed_first_start_shows_why_and_leaves_nothing(
    log: Path, shop: Deployment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FAILURE", "1")
    with pytest.raises(CommandError):
        compose.up(shop)
    commands = log.read_text()
    assert "logs --no-log-prefix --tail 3 topics" in commands
    assert "down --remove-orphans" in commands


def test_down_keeps_the_volumes_and_clean_does_not(log: Path, shop: Deployment):
    compose.up(shop)
    compose.down(shop)
    assert load(shop.directory) is None
    assert "--volumes" not in log.read_text()
    compose.clean(shop)
    assert "--volumes" in log.read_text()


@pytest.mark.parametrize(
    ("failure", "way", "chosen"),
    [("0", "", True), ("1", "", False), ("0", "native", False)],
)
def test_containers_are_chosen_where_an_engine_answers(
    log: Path, monkeypatch: pytest.MonkeyPatch, failure: str, way: str, *, chosen: bool
):
    monkeypatch.setenv("FAILURE", failure)
    monkeypatch.setenv("SHOP_WAY", way)
    assert compose.is_chosen() is chosen
