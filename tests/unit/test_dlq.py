"""Dead letters as operators see them; no content of one moves a terminal's cursor."""

import io
import os
import sys

import click
import pytest

from agents.ops.dlq import details, parse_location, table
from tests.unit.dead_letters import REASON, dead_letter, record
from topics.catalog import CART_REQUESTS, DEAD_LETTERS, STOCK_REQUESTS
from topics.cli import echo, escape_control_chars
from topics.kafka.location import RecordLocation


def shown(**different) -> dict[str, str]:
    """The details of a dead letter: the rest of each line by its first word."""
    lines = list(details(dead_letter(**different)))
    return dict(line.strip().partition(" ")[::2] for line in lines)


@pytest.mark.parametrize("topic", [topic.name for topic in DEAD_LETTERS.values()])
def test_a_location_is_parsed_as_it_is_printed(topic: str):
    location = RecordLocation(topic, 12, 2**62)
    assert parse_location(str(location)) == location
    assert str(location) == f"{topic}-12@4611686018427387904"


@pytest.mark.parametrize(
    "text", ["", "cart.dlq", "cart.dlq-1", "cart.dlq@1", "cart.requests-1@1", "x-1@1"]
)
def test_a_text_that_is_no_location_of_a_dead_letter_is_refused(text: str):
    with pytest.raises(click.BadParameter, match=r"TOPIC is one of cart\.dlq"):
        parse_location(text)


def test_a_line_has_location_time_source_and_reason():
    [line] = table([dead_letter()])
    time = "2025-11-23T12:26:40.000Z"
    assert line == f"cart.dlq-3@17  {time}  from cart.requests-1@42  {REASON}"


def test_lines_are_aligned():
    lines = list(table([dead_letter(offset=offset) for offset in (9, 10_000)]))
    assert len({line.index("from") for line in lines}) == 1


def test_a_record_without_headers_of_the_shop_is_shown_as_far_as_possible():
    stray = record("cart.dlq", b"", headers=(("dlq.reason", None),), timestamp=2**62)
    [line] = table([stray])
    assert line.split() == ["cart.dlq-1@42", f"{2**62}", "ms", "from", "?-?@?"]
    assert list(details(stray))


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (b'{"type": "stocks"}', ["18 bytes, JSON", '{"type": "stocks"}']),
        (b"hello\nworld", ["11 bytes, text", "hello", "world"]),
        ("привет".encode(), ["12 bytes, text", "привет"]),
        (b"\xff" * 33, ["33 bytes, hex", " ".join(["ff"] * 32), "ff"]),
        (b"[" * 100_000, ["100000 bytes, text", "[" * 100_000]),
        (b"", ["0 bytes, text"]),
        (None, ["null"]),
    ],
)
def test_a_value_is_shown_as_text_if_it_is_one_and_else_in_hex(
    value: bytes | None, lines: list[str]
):
    found = list(details(dead_letter(value)))
    begin = found.index(f"  value    {lines[0]}")
    assert found[begin + 1 :] == lines[1:]


def test_key_and_headers_are_shown_in_hex_unless_they_are_text():
    headers = (("x", b"1"), ("kafka_replyPartition", b"\0\0\0\3"), ("y", None))
    found = shown(key=b"17", headers=headers)
    assert found["key"].strip() == "17"
    assert found["x:"] == "1"
    assert found["kafka_replyPartition:"] == "0x00000003"
    assert found["y:"] == "null"
    assert found["dlq.topic:"] == CART_REQUESTS.name
    assert found["headers"].strip() == "7"
    assert shown(key=b"\xff")["key"].strip() == "0xff"
    assert shown(key=None)["key"].strip() == "null"


def test_the_source_is_that_of_the_dead_letter():
    assert "  from     stock.requests-1@42" in details(dead_letter(source=STOCK_REQUESTS))


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("привет, \t世界", "привет, \t世界"),
        ("\x1b[2J\r\n\0\x9b", r"\x1b[2J\r\n\x00\x9b"),
        ("a\u202eb", r"a\u202eb"),
    ],
)
def test_characters_that_move_a_terminals_cursor_are_escaped(text: str, harmless: str):
    assert escape_control_chars(text) == harmless


def test_a_reader_of_the_first_lines_only_breaks_nothing(monkeypatch: pytest.MonkeyPatch):
    reader, writer = os.pipe()
    with io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as out:
        monkeypatch.setattr(sys, "stdout", out)
        os.close(reader)
        echo("the pipe is closed", "here, too")
        echo("and later")
