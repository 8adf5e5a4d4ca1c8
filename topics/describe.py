"""The declared topics as a table and as JSON; no broker is needed."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import zip_longest
from textwrap import wrap

from topics.topic import FOREVER, Topic, TopicKind, wire_type

_HEADS = ("TOPIC", "KEY", "PARTITIONS", "KEPT", "CARRIES", "WHAT IT IS FOR")
_CARRIES_WIDTH, _DOC_WIDTH = 30, 40
_GAP, _EMPTY = "  ", "-"

# Their keys follow from the keys of other topics.
_KEYS = {TopicKind.DEAD_LETTERS: "as the source", TopicKind.CHANGELOG: "row"}


def lines(
    topics: Iterable[Topic], partitions: int, request_retention: timedelta
) -> list[str]:
    """Return a table of topics.

    Args:
        topics: in the order of the rows.
        partitions: the number of topics that declare none.
        request_retention: the retention of request topics.
    """
    cells = (_cells(topic, partitions, request_retention) for topic in topics)
    rows = [_HEADS, *cells]
    columns = zip(*(map(_lines_of, row) for row in rows), strict=True)
    widths = [max(len(line) for cell in cells for line in cell) for cells in columns]
    return [line for row in rows for line in _row(row, widths)]


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
        "retention_ms": limit // timedelta(milliseconds=1) if limit is not None else None,
        "compacted": topic.kind is TopicKind.CHANGELOG,
        "carries": _types(topic),
        "doc": topic.doc,
    }


def _cells(topic: Topic, partitions: int, request_retention: timedelta) -> tuple[str, ...]:
    return (
        topic.name,
        _key(topic) or _EMPTY,
        str(topic.partitions or partitions),
        format_retention(topic.retention_with(request_retention)),
        "\n".join(wrap(", ".join(_types(topic)), _CARRIES_WIDTH)) or _EMPTY,
        "\n".join(wrap(topic.doc, _DOC_WIDTH)),
    )


def _key(topic: Topic) -> str:
    return topic.key or _KEYS.get(topic.kind, "")


def _types(topic: Topic) -> list[str]:
    """Return the values of `type` in the records of a topic."""
    return [wire_type(contract) for contract in topic.contracts]


def format_retention(time: timedelta | None) -> str:
    """Return a retention as text."""
    if time is None:
        return "compacted"
    if time == FOREVER:
        return "for ever"
    units = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
    for name, unit in units.items():
        if time >= unit and not time % unit:
            return f"{time // unit} {name}{'s' if time > unit else ''}"
    return str(time)


def _lines_of(cell: str) -> list[str]:
    return cell.split("\n")


def _row(cells: Iterable[str], widths: list[int]) -> Iterator[str]:
    """Yield the lines of a row, whose cells may have several."""
    for parts in zip_longest(*map(_lines_of, cells), fillvalue=""):
        padded = (f"{part:<{width}}" for part, width in zip(parts, widths, strict=True))
        yield _GAP.join(padded).rstrip()
