"""The commands of make, against a shop of their own."""

import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import trustme

from agents.ops.local.deployment import REPOSITORY, settings
from gateway.tokens import Role, line, new_token
from topics.broker.process import is_free

WITHIN_SECONDS = 240.0
NAMES = {
    *("kafka", "product-service", "products-1", "notifications-1"),
    *("loms-1", "checkout-1", "gateway-1"),
}


class Make:
    """`make` with an environment."""

    def __init__(self, directory: Path) -> None:
        port = _free_ports()
        neutral = settings(os.environ)
        self.environment = {n: v for n, v in os.environ.items() if n not in neutral}
        self.environment |= {
            "RUN_DIR": str(directory),
            "SHOP_WAY": "native",
            "KAFKA_PORT": str(port),
            "PRODUCT_PORT": str(port + 2),
            "GATEWAY_PORT": str(port + 3),
        }
        self.gateway_port = port + 3

    def __call__(self, *words: str, **different: str) -> str:
        ran = self.attempt(*words, **different)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def attempt(self, *words: str, **different: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | different
        command = ["make", "-s", "-C", str(REPOSITORY), *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    def call(self, name: str, **body: int) -> Any:
        url = f"http://127.0.0.1:{self.gateway_port}/{name}"
        with urlopen(url, json.dumps(body).encode()) as answer:
            return json.load(answer)

    def stocks(self, sku: int) -> dict[int, int]:
        stocks = self.call("stocks", sku=sku)["stocks"]
        return {stock["warehouseID"]: stock["count"] for stock in stocks}

    def processes(self) -> dict[str, tuple[int, str]]:
        rows = [line.split(" ") for line in self("ps").splitlines()]
        return {name: (int(pid), state) for name, pid, state in rows}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """A running shop."""
    one = Make(tmp_path_factory.mktemp("a shop"))
    try:
        one("run-all")
        yield one
    finally:
        one("clean")


def test_ps_prints_the_process_id_of_each_program(make: Make):
    shown = make.processes()
    assert shown.keys() == NAMES
    assert {state for _, state in shown.values()} == {"RUNNING"}
    command = Path(f"/proc/{shown['kafka'][0]}/cmdline").read_bytes()
    assert b"kafka.Kafka" in command


def test_a_repeated_start_changes_nothing(make: Make):
    before = make.processes()
    assert "The shop is open" in make("run-all")
    assert make.processes() == before


def test_the_demo_succeeds_with_any_stock(make: Make):
    make.call("receiveStock", sku=2958025, warehouseID=3, count=100_000)
    story = make("demo")
    for topic in ("cart.requests", "order.requests", "stock.requests", "order.events"):
        assert topic in story
    assert "The demo is complete" in story
    assert story.startswith(f"Kafka at 127.0.0.1:{make.environment['KAFKA_PORT']}, ")


@pytest.mark.parametrize(
    "words", ["agents dlq list", "topics check", "agents.ops.audit --quiet --no-questions"]
)
def test_tools_work_on_the_shop_of_the_directory_in_spite_of_other_settings(
    make: Make, words: str
):
    own = make.environment | {"KAFKA": "127.0.0.1:1", "PARTITIONS": "3"}
    del own["KAFKA_PORT"]
    ran = subprocess.run(
        [sys.executable, "-m", *words.split()],
        env=own,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    first, *_ = (ran.stderr + ran.stdout).splitlines()
    port, directory = make.environment["KAFKA_PORT"], make.environment["RUN_DIR"]
    where = f"Kafka at 127.0.0.1:{port}, the cluster of the shop in {directory}"
    assert f"{where} (ignored: KAFKA=127.0.0.1:1, PARTITIONS=3)" in first


def test_a_dead_process_is_restarted(make: Make):
    pid, _ = make.processes()["loms-1"]
    os.kill(pid, signal.SIGKILL)
    _until(lambda: make.processes()["loms-1"][0] not in (0, pid))
    make("run-all")


def test_scaling_adds_and_removes_processes_and_is_saved(make: Make):
    before = make.processes()
    make("scale", "LOMS_WORKERS=2", "GATEWAYS=2")
    assert make.processes().keys() == NAMES | {"loms-2", "gateway-2"}
    make("scale", "LOMS_WORKERS=1")
    after = make.processes()
    assert after.keys() == NAMES | {"gateway-2"}
    assert {name: after[name] for name in NAMES} == before
    make("scale", "GATEWAYS=1")


def test_the_number_of_partitions_changes_and_is_remembered(make: Make):
    before, stocks = make.processes(), make.stocks(1076963)
    make("repartition", "PARTITIONS=3")
    after = make.processes()
    assert after.keys() == NAMES
    assert after["kafka"] == before["kafka"]
    assert make.stocks(1076963) == stocks
    assert "The shop is open" in make("run-all")
    refused = make.attempt("run-all", PARTITIONS="8")
    assert "only make repartition changes it" in refused.stderr
    make("down")
    make("repartition", "PARTITIONS=2")
    make("run-all")
    assert make.stocks(1076963) == stocks
    assert "no difference" in make("audit")


def test_changed_settings_restart_the_shop_with_its_state(make: Make):
    make("run-all", PAYMENT_TIMEOUT_SECONDS="1234")
    pid, _ = make.processes()["loms-1"]
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert b"PAYMENT_TIMEOUT_SECONDS=1234" in environment
    assert make.stocks(1076963) == {7: 45, 10: 70}


def test_an_invalid_setting_of_a_gateway_stops_nothing(make: Make, tmp_path: Path):
    before = make.processes()
    for wrong, why in (
        ({"GATEWAY_TOKENS": str(tmp_path / "absent")}, "gateway_tokens"),
        ({"GATEWAY_TLS_CERT": "cert.pem"}, "go together"),
        ({"REPLY_TIMEOUT_SECONDS": "-1"}, "reply_timeout_seconds"),
    ):
        ran = make.attempt("run-all", **wrong)
        assert ran.returncode
        assert why in ran.stderr
        assert "Traceback" not in ran.stderr
    assert make.processes() == before


def test_a_shop_with_tokens_and_tls_starts_and_shows_its_demo(make: Make, tmp_path: Path):
    tokens, token = tmp_path / "tokens", new_token()
    tokens.write_text(line(token, Role.OPERATOR))
    authority = trustme.CA()
    issued = authority.issue_cert("shop.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    for stocked in Path(make.environment["RUN_DIR"]).glob("marks/stocked-*"):
        stocked.unlink()  # as if the shop were new

    output = make(
        "run-all",
        GATEWAY_TOKENS=str(tokens),
        GATEWAY_TLS_CERT=str(cert),
        GATEWAY_TLS_KEY=str(key),
    )
    assert f"https://127.0.0.1:{make.gateway_port}" in output

    refused = make.attempt("demo")
    assert refused.returncode
    assert "GATEWAY_TOKEN=" in refused.stderr
    assert "The demo is complete" in make("demo", GATEWAY_TOKEN=token)
    make("scale", "GATEWAYS=2")
    make("scale", "GATEWAYS=1")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.check_hostname = False
    request = Request(
        f"https://127.0.0.1:{make.gateway_port}/stocks",
        b'{"sku":1076963}',
        {"Authorization": f"Bearer {token}"},
    )
    with urlopen(request, context=context) as answer:
        stocks = json.load(answer)["stocks"]
    assert {stock["warehouseID"]: stock["count"] for stock in stocks} == {7: 45, 10: 70}


def test_a_port_that_is_taken_is_named_and_nothing_starts(make: Make, tmp_path: Path):
    ran = make.attempt("run-all", RUN_DIR=str(tmp_path))
    assert ran.returncode
    assert f"port {make.gateway_port} is taken" in ran.stderr
    assert make.attempt("ps", RUN_DIR=str(tmp_path)).returncode


def test_a_stopped_shop_has_no_processes(make: Make):
    shown = make.processes()
    make("down")
    assert "does not run" in make.attempt("ps").stderr
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid, _ in shown.values())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _free_ports() -> int:
    while True:
        first = random.randrange(20_000, 32_000, 8)
        if all(map(is_free, range(first, first + 6))):
            return first
