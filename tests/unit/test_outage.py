"""Lines that are logged of a broker's outage, by a clock that the test sets."""

import ast
import logging
import ssl
from pathlib import Path

import aiokafka
import pytest
from aiokafka import errors

import agents
import gateway
from topics.kafka.connection import Outages
from topics.telemetry.logging import _REPEATED, repeats_outage

BROKER, OTHER = "10.0.0.1:9092", "10.0.0.2:9092"
WHY = "ConnectionRefusedError: [Errno 111] Connection refused"
REFUSED = ConnectionRefusedError(111, "Connection refused")


class Clock:
    """Monotonic seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outages(clock: Clock) -> Outages:
    return Outages(clock)


def record(template: str, *words: object, error: bool = False) -> logging.LogRecord:
    why = (ValueError, ValueError("a bug"), None) if error else None
    return logging.LogRecord("aiokafka", logging.ERROR, "", 1, template, words, why)


def suppresses(outages: Outages, line: logging.LogRecord) -> bool:
    return repeats_outage(line) and outages.suppress()


def chatter(error: object = REFUSED) -> logging.LogRecord:
    return record("Failed fetch messages from %s: %s", 1, error)


def test_an_outage_is_one_line_at_its_begin_and_one_at_its_end(outages, clock, caplog):
    outages.failed(BROKER, REFUSED)
    for _ in range(40):
        clock.now += 0.5
        outages.failed(BROKER, REFUSED)
        assert suppresses(outages, chatter())
    clock.now += 1.25
    outages.answered(BROKER)
    clock.now += 1.0
    outages.answered(BROKER)
    assert caplog.messages == [
        f"event=kafka-unreachable broker={BROKER} reason={WHY!r}",
        f"event=kafka-reachable broker={BROKER} after_seconds=21.2 suppressed=40",
    ]
    assert not suppresses(outages, chatter())


def test_while_it_lasts_there_is_one_line_a_minute_with_what_was_suppressed(
    outages, clock, caplog
):
    outages.failed(BROKER, REFUSED)
    for _ in range(150):
        clock.now += 1.0
        outages.failed(BROKER, errors.RequestTimedOutError())
        suppresses(outages, chatter())
    begin, *minutes = caplog.messages
    assert "for_seconds" not in begin
    assert minutes == [
        f"event=kafka-unreachable broker={BROKER} for_seconds={seconds}"
        f" suppressed={seconds - 1} reason='[Error 7] RequestTimedOutError'"
        for seconds in (60, 120)
    ]


def test_a_broker_that_flaps_has_one_outage(outages, clock, caplog):
    for _ in range(100):
        outages.failed(BROKER, REFUSED)
        clock.now += 0.3
        outages.answered(BROKER)
    assert len(caplog.messages) == 1
    clock.now += 1.7
    outages.answered(BROKER)
    assert caplog.messages[1:] == [
        f"event=kafka-reachable broker={BROKER} after_seconds=30.0 suppressed=0"
    ]


def test_the_answers_of_another_broker_end_no_outage(outages, clock, caplog):
    outages.failed(BROKER, REFUSED)
    clock.now += 30.0
    outages.answered(OTHER)
    assert len(caplog.messages) == 1
    outages.failed(OTHER, "the broker closed the connection")
    assert caplog.messages[1:] == [
        f"event=kafka-unreachable broker={OTHER} reason='the broker closed the connection'"
    ]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('Unable connect to "%s:%s": %s', ("10.0.0.1", 9092, REFUSED)),
        ("Unable connect to node with id %s: %s", (1, ssl.SSLError("closed"))),
        ("Unable connect to node with id %s: %s", (1, errors.SaslAuthenticationFailed())),
        ("Unable to update metadata from %s", ([1],)),
        ("Unable to request metadata from node with id %s: %r", (1, TimeoutError())),
        ("Group Coordinator Request failed: %s", (errors.NodeNotReadyError("1"),)),
        ("Got error produce response: %s", (errors.RequestTimedOutError(),)),
        ("Could not send %r: %r", (dict, errors.NotCoordinatorError())),
        ("Heartbeat session expired - marking coordinator dead", ()),
    ],
)
def test_lines_that_repeat_an_outage_are_suppressed_while_there_is_one(
    outages, template, words
):
    line = record(template, *words)
    assert not suppresses(outages, line)
    outages.failed(BROKER, REFUSED)
    assert suppresses(outages, line)


@pytest.mark.parametrize(
    "line",
    [
        record("An unknown line of aiokafka: %s", REFUSED),
        chatter(ValueError("a bug")),
        chatter(errors.CorrelationIdError()),
        record("Got error produce response: %s", errors.InvalidTopicError()),
        record("Unexpected error in fetcher routine", error=True),
        record("Failed fetch messages from %s: %s", 1, REFUSED, error=True),
        record({"no": "text"}),
    ],
)
def test_other_errors_are_written_also_during_an_outage(outages, line):
    outages.failed(BROKER, REFUSED)
    assert not suppresses(outages, line)


def test_every_suppressed_line_is_one_of_the_installed_client_or_of_the_shop():
    """Another version of aiokafka may word its lines otherwise, and they would drown us."""
    written = {
        node.value
        for package in (aiokafka, agents, gateway)
        for file in Path(package.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert set(_REPEATED) <= written


def test_an_error_stands_for_its_cause(outages):
    outages.failed(BROKER, REFUSED)
    away, other = RuntimeError("Kafka at …"), RuntimeError("no topic")
    away.__cause__, other.__cause__ = errors.KafkaConnectionError("…"), KeyError("…")
    assert suppresses(outages, record("event=waiting-for-kafka reason=%r", away))
    assert not suppresses(outages, record("event=waiting-for-kafka reason=%r", other))


def test_a_broker_without_recent_attempts_hides_no_lines(outages, clock, caplog):
    outages.failed(BROKER, REFUSED)
    clock.now += 61.0
    assert not suppresses(outages, chatter())
    outages.answered(BROKER)
    assert "event=kafka-reachable" in caplog.messages[-1]


def test_a_tool_logs_outages_only_once_it_has_reached_a_broker(outages, caplog):
    outages.muted = True
    outages.failed(BROKER, REFUSED)
    assert caplog.messages == []
    outages.answered(OTHER)
    outages.failed(BROKER, REFUSED)
    assert len(caplog.messages) == 1
