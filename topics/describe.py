"""The declared topics as a table and as JSON; no broker is needed."""

import json
from collections.abc import Iterable
from datetime import timedelta
from itertools import zip_longest
from textwrap import wrap

from topics.topic import FOREVER, Topic, TopicKind, milliseconds, wire_type

_HEADS = ("TOPIC", "KEY", "PARTITIONS", "KEPT", "CARRIES", "WHAT IT IS FOR")
_CARRIES_WIDTH, _DOC_WIDTH = 30, 40

# Their keys follow from the keys of other topics.
_KEYS = {TopicKind.DEAD_LETTERS: "as the source", TopicKind.CHANGELOG: "row"}


def lines(
    topics: Iterable[Topic], partitions: int, request_retention: timedelta
) -> list[str]:
    """Return a table of topics; `partitions` is the number of those that declare none."""
    rows = [[[head] for head in _HEADS]]
    rows += [_cells(topic, partitions, request_retention) for topic in topics]
    columns = zip(*rows, strict=True)
    widths = [max(len(line) for cell in cells for line in cell) for cells in columns]
    template = "  ".join(f"{{:<{width}}}" for width in widths)
    return [
        template.format(*parts).rstrip()
        for cells in rows
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _cells(topic: Topic, partitions: int, request_retention: timedelta) -> list[list[str]]:
    """Return the lines of each cell of a row."""
    return [
        [topic.name],
        [_key(topic) or "-"],
        [str(topic.partitions or partitions)],
        [format_retention(topic.retention_with(request_retention))],
        wrap(", ".join(map(wire_type, topic.contracts)), _CARRIES_WIDTH) or ["-"],
        wrap(topic.doc, _DOC_WIDTH),
    ]


def as_json(topics: Iterable[Topic], partitions: int, request_retention: timedelta) -> str:
    """Return the same as JSON: a list of objects; milliseconds, null without a limit."""
    objects = [_fields(topic, partitions, request_retention) for topic in topics]
    return json.dumps(objects, indent=2)


def _fields(
    topic: Topic, partitions: int, request_retention: timedelta
) -> dict[str, object]:
    retention = topic.retention_with(request_retention)
    limit = None if retention == FOREVER else retention
    return {
        "name": topic.name,
        "kind": topic.kind,
        "key": _key(topic),
        "partitions": topic.partitions or partitions,
        "retention_ms": None if limit is None else milliseconds(limit),
        "compacted": topic.kind is TopicKind.CHANGELOG,
        "carries": [wire_type(contract) for contract in topic.contracts],
        "doc": topic.doc,
    }


def _key(topic: Topic) -> str:
    return topic.key or _KEYS.get(topic.kind, "")


def format_retention(time: timedelta | None) -> str:
    """Return a retention as text."""
    if time is None:
        return "compacted"
    if time == FOREVER:
        return "for ever"
    for name, unit in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if time >= unit and not time % unit:
            return f"{time // unit} {name}{'s' if time > unit else ''}"
    return str(time)
