"""Dead letters as operators see them: whatever is in one, it does a terminal no harm."""

import io
import os
import sys

import click
import pytest

from agents.ops.dead_letters import details, parse_location, summary, table
from tests.unit.buried import REASON, buried, record
from topics.catalog import CART_REQUESTS, DEAD_LETTERS, STOCK_REQUESTS
from topics.cli import echo, escape_control_chars
from topics.kafka.location import RecordLocation


def shown(**different) -> dict[str, str]:
    """What is told of a dead letter: what follows each word at a line's beginning."""
    lines = list(details(buried(**different)))
    return dict(line.strip().partition(" ")[::2] for line in lines)


@pytest.mark.parametrize("topic", [topic.name for topic in DEAD_LETTERS.values()])
def test_a_place_is_read_as_it_is_written(topic: str):
    there = RecordLocation(topic, 12, 2**62)
    assert parse_location(str(there)) == there
    assert str(there) == f"{topic}-12@4611686018427387904"


@pytest.mark.parametrize(
    "text", ["", "cart.dlq", "cart.dlq-1", "cart.dlq@1", "cart.requests-1@1", "x-1@1"]
)
def test_what_is_no_place_of_dead_letters_is_refused(text: str):
    with pytest.raises(click.BadParameter, match=r"TOPIC is one of cart\.dlq"):
        parse_location(text)


def test_a_line_tells_where_it_lies_when_it_died_where_it_comes_from_and_why():
    [line] = table([summary(buried())])
    when = "2025-11-23T12:26:40.000Z"
    assert line == f"cart.dlq-3@17  {when}  from cart.requests-1@42  {REASON}"


def test_lines_are_aligned():
    letters = [buried(offset=offset) for offset in (9, 10_000)]
    lines = list(table([summary(letter) for letter in letters]))
    assert len({line.index("from") for line in lines}) == 1


def test_the_newest_letter_is_the_greatest():
    old, new = (summary(buried(timestamp=at, offset=9 - at)) for at in (1, 2))
    assert old < new


def test_what_is_none_of_ours_is_told_as_far_as_it_goes():
    letter = record("cart.dlq", b"", headers=(("dlq.reason", None),), timestamp=2**62)
    [line] = table([summary(letter)])
    assert line.split() == ["cart.dlq-1@42", f"{2**62}", "ms", "from", "?-?@?"]
    assert list(details(letter))


@pytest.mark.parametrize(
    ("value", "told"),
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
    value: bytes | None, told: list[str]
):
    lines = list(details(buried(value)))
    begin = lines.index(f"  value    {told[0]}")
    assert lines[begin + 1 :] == told[1:]


def test_key_and_headers_are_shown_and_what_is_no_text_in_hex():
    headers = (("x", b"1"), ("kafka_replyPartition", b"\0\0\0\3"), ("y", None))
    told = shown(key=b"17", headers=headers)
    assert told["key"].strip() == "17"
    assert told["x:"] == "1"
    assert told["kafka_replyPartition:"] == "0x00000003"
    assert told["y:"] == "null"
    assert told["dlq.topic:"] == CART_REQUESTS.name
    assert told["headers"].strip() == "7"
    assert shown(key=b"\xff")["key"].strip() == "0xff"
    assert shown(key=None)["key"].strip() == "null"


def test_the_source_is_that_of_the_letter():
    assert summary(buried(source=STOCK_REQUESTS)).source == "stock.requests-1@42"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("привет, \t世界", "привет, \t世界"),
        ("\x1b[2J\r\n\0\x9b", r"\x1b[2J\r\n\x00\x9b"),
        ("a\u202eb", r"a\u202eb"),
    ],
)
def test_what_moves_a_terminals_cursor_is_escaped(text: str, harmless: str):
    assert escape_control_chars(text) == harmless


def test_who_looks_at_the_first_lines_only_breaks_nothing(monkeypatch: pytest.MonkeyPatch):
    reader, writer = os.pipe()
    with io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as out:
        monkeypatch.setattr(sys, "stdout", out)
        os.close(reader)
        echo("nobody hears this")
        echo("nor this")
