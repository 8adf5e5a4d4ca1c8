"""The declarations as a table and as JSON; they need no broker."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from topics.__main__ import as_json, as_table
from topics.catalog import TOPICS, Reply
from topics.topic import FOREVER, Topic, TopicKind, wire_type

PARTITIONS = 5
MINE = Topic("mine", TopicKind.REPLIES, "A topic of tests.")


def columns(table: list[str]) -> list[int]:
    """Where columns begin, going by the heads."""
    heads = ("TOPIC", "KEY", "PARTITIONS", "KEPT", "CARRIES", "WHAT")
    return [table[0].index(head) for head in heads]


def cells(table: list[str], line: int) -> list[str]:
    begins = columns(table)
    ends = [*begins[1:], None]
    return [table[line][b:e].strip() for b, e in zip(begins, ends, strict=True)]


def test_each_topic_of_the_catalogue_has_a_row():
    names = [
        line.split()[0] for line in as_table(TOPICS, PARTITIONS, FOREVER) if line[0] != " "
    ]
    assert names == ["TOPIC", *(topic.name for topic in TOPICS)]


def test_no_column_runs_into_the_next():
    table = as_table(TOPICS, PARTITIONS, FOREVER)
    for begin in columns(table)[1:]:
        assert {line[begin - 2 : begin].strip() for line in table} == {""}


def test_a_long_cell_continues_in_the_next_line():
    table = as_table([replace(MINE, carries=Reply)], PARTITIONS, FOREVER)
    assert cells(table, 1)[:4] == ["mine", "-", "5", "1 hour"]
    assert cells(table, 2)[:4] == ["", "", "", ""]
    carried = " ".join(cells(table, line)[4] for line in range(1, len(table)))
    assert carried == ", ".join(map(wire_type, replace(MINE, carries=Reply).contracts))


@pytest.mark.parametrize(
    ("retention", "text"),
    [
        (FOREVER, "for ever"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=30), "30 days"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=90), "1:30:00"),
    ],
)
def test_a_retention_is_shown_as_text(retention: timedelta, text: str):
    requests = replace(MINE, kind=TopicKind.REQUESTS)
    assert cells(as_table([requests], PARTITIONS, retention), 1)[3] == text


def test_a_changelog_is_shown_as_compacted():
    changelog = replace(MINE, kind=TopicKind.CHANGELOG)
    assert cells(as_table([changelog], PARTITIONS, FOREVER), 1)[3] == "compacted"


def test_partitions_are_those_of_the_topic_or_else_of_the_shop():
    table = as_table([MINE, replace(MINE, partitions=16)], PARTITIONS, FOREVER)
    assert [cells(table, 1)[2], cells(table, 2)[2]] == ["5", "16"]


def test_the_json_has_the_same_declarations():
    declared = {
        each["name"]: each for each in json.loads(as_json(TOPICS, PARTITIONS, FOREVER))
    }
    assert list(declared) == [topic.name for topic in TOPICS]
    assert declared["stock.requests"] == {
        "name": "stock.requests",
        "kind": "requests",
        "key": "sku",
        "partitions": PARTITIONS,
        "retention_ms": None,
        "compacted": False,
        "carries": ["stocks", "receiveStock", "checkStock", "reserve", "release", "sell"],
        "doc": "Requests to the stock of a sku, from clients, carts and orders.",
    }
    assert declared["order.events"]["retention_ms"] == 30 * 24 * 3_600_000
    assert declared["loms-stock-changelog"]["compacted"]


def test_request_topics_have_the_retention_of_the_setting():
    retention = timedelta(hours=5)
    objects = json.loads(as_json(TOPICS, PARTITIONS, retention))
    kept = {each["name"]: each["retention_ms"] for each in objects}
    requests = [topic for topic in TOPICS if topic.kind is TopicKind.REQUESTS]
    assert {kept.pop(topic.name) for topic in requests} == {5 * 3_600_000}
    assert 5 * 3_600_000 not in kept.values()
    assert cells(as_table(requests[:1], PARTITIONS, retention), 1)[3] == "5 hours"


def test_the_command_line_needs_no_cluster():
    nowhere = os.environ | {"KAFKA": "127.0.0.1:1", "PARTITIONS": str(PARTITIONS)}
    words = [sys.executable, "-m", "topics", "describe"]
    for option, wanted in (
        ([], "\n".join(as_table(TOPICS, PARTITIONS, FOREVER))),
        (["--json"], as_json(TOPICS, PARTITIONS, FOREVER)),
    ):
        ran = subprocess.run(
            words + option, env=nowhere, capture_output=True, text=True, check=True
        )
        assert ran.stdout == f"{wanted}\n"
