"""Log lines for programs."""

import json
import logging
import os
import subprocess
import sys

import pytest

from topics.kafka.headers import LOG_CONTEXT
from topics.telemetry.logging import JsonLines

TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(message: str, *words: object, error: bool = False) -> dict[str, str]:
    why = sys.exc_info() if error else None
    record = logging.LogRecord("shop", logging.WARNING, "", 1, message, words, why)
    record.created = 1_763_900_000.5
    written = JsonLines("loms").format(record)
    assert written.isascii()
    assert "\n" not in written
    return json.loads(written)


def test_a_line_is_one_object():
    assert line("lost %d of «%s»", 3, "a\nb") == {
        "time": "2025-11-23T12:13:20.500000+00:00",
        "level": "WARNING",
        "service": "loms",
        "logger": "shop",
        "message": "lost 3 of «a\nb»",
    }


@pytest.mark.parametrize(
    ("headers", "ids"),
    [
        ([], {}),
        ([("kafka_correlationId", b"me-1")], {"correlation_id": "me-1"}),
        (
            [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())],
            {"trace_id": TRACE},
        ),
        ([("traceparent", None), ("kafka_correlationId", None)], {}),
        (
            [("traceparent", b"\xff"), ("kafka_correlationId", b"\xff")],
            {"correlation_id": "ÿ"},
        ),
    ],
)
def test_a_line_has_the_ids_of_the_record_of_its_task(headers, ids):
    token = LOG_CONTEXT.set(headers)
    written = line("late")
    LOG_CONTEXT.reset(token)
    assert {name: written[name] for name in written if name.endswith("_id")} == ids


def test_a_line_has_the_whole_traceback():
    try:
        int("no")
    except ValueError:
        assert "ValueError: invalid literal" in line("failed", error=True)["exception"]


def test_a_process_limits_repeated_lines_in_either_format():
    program = (
        "import logging; from topics.telemetry.logging import configure;"
        "configure('loms');"
        "[logging.warning('late %d', n) for n in range(9)];"
        "logging.info('a'); logging.info('a')"
    )
    for form in ("", "json"):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"LOG_FORMAT": form},
            capture_output=True,
            text=True,
            check=True,
        )
        late, *rest = ran.stderr.splitlines()
        assert "late 0" in late
        assert late.startswith("{") is (form == "json")
        assert len(rest) == 2, ran.stderr
