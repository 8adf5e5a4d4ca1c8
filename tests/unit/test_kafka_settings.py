"""The settings of Kafka: valid combinations, and passwords that stay secret."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from topics.kafka.settings import KafkaSettings

LOGIN = {"kafka_sasl_username": "me", "kafka_sasl_password": "not to be seen"}


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_an_unused_password_is_refused_and_not_repeated(protocol: str):
    with pytest.raises(ValidationError) as wrong:
        KafkaSettings(kafka_security_protocol=protocol, **LOGIN)
    assert "go together" in str(wrong.value)
    assert "not to be seen" not in str(wrong.value)


@pytest.mark.parametrize("missing", LOGIN)
def test_a_login_without_a_name_or_a_password_is_refused(missing: str):
    given = {name: value for name, value in LOGIN.items() if name != missing}
    with pytest.raises(ValidationError) as wrong:
        KafkaSettings(kafka_security_protocol="SASL_SSL", **given)
    assert "not to be seen" not in str(wrong.value)


def test_the_options_of_clients_have_the_login_and_check_host_names():
    options = KafkaSettings(kafka_security_protocol="SASL_SSL", **LOGIN).client_options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "me"
    assert options["sasl_plain_password"] == "not to be seen"
    assert options["ssl_context"].check_hostname


def test_the_repr_of_settings_has_no_password():
    assert "not to be seen" not in repr(
        KafkaSettings(kafka_security_protocol="SASL_SSL", **LOGIN)
    )


@pytest.mark.parametrize(
    ("program", "exit_code"),
    [("agents loms", 2), ("gateway", 2), ("agents.ops.audit", 2), ("topics check", 1)],
)
def test_each_program_logs_an_invalid_setting_in_one_line(program, exit_code):
    wrong = {"PARTITIONS": "0", "KAFKA_SASL_PASSWORD": "not to be seen"}
    words = [sys.executable, "-m", *program.split()]
    environment = os.environ | wrong
    ran = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == exit_code
    [line] = [line for line in ran.stderr.splitlines() if "level=INFO" not in line]
    assert "event=bad-setting name=partitions reason='Input should be greater" in line


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("k", "k:9092"),
        ("a:1, b", "a:1,b:9092"),
        ("[::1]:9092", "[::1]:9092"),
    ],
)
def test_a_port_may_be_left_out(given: str, meant: str):
    assert KafkaSettings(kafka=given).kafka == meant


@pytest.mark.parametrize("given", ["k:x", "k:1:2", ",", "a b:1", "k:"])
def test_an_invalid_address_is_refused(given: str):
    with pytest.raises(ValidationError, match="host:port"):
        KafkaSettings(kafka=given)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAFKA", "")
    monkeypatch.setenv("PARTITIONS", "")
    assert (KafkaSettings().kafka, KafkaSettings().partitions) == ("127.0.0.1:9092", 8)


@pytest.mark.parametrize(
    ("hours", "valid"),
    [
        *(("x", False), ("-1", False), ("0", False), ("nan", False), ("1e300", False)),
        *(("", True), ("1", True), ("inf", True)),
    ],
)
def test_the_retention_of_requests_is_a_number_of_hours(hours: str, valid: bool):
    ran = subprocess.run(
        [sys.executable, "-m", "topics", "describe"],
        env=os.environ | {"REQUEST_RETENTION_HOURS": hours},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(ran.stdout) == valid
    assert ran.returncode == (0 if valid else 1)
    assert ("event=bad-setting name=request_retention_hours" in ran.stderr) != valid


def test_no_setting_is_read_when_the_topics_are_imported():
    ran = subprocess.run(
        [sys.executable, "-c", "import topics.catalog, topics.admin, gateway.app"],
        env=os.environ | {"REQUEST_RETENTION_HOURS": "x", "PARTITIONS": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_login_may_have_any_characters(monkeypatch: pytest.MonkeyPatch):
    odd = "  $HOME %(x)s 100% a=b,c 'q\" #x\\ é "
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", odd)
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", odd)
    options = KafkaSettings().client_options()
    assert options["sasl_plain_username"] == options["sasl_plain_password"] == odd
