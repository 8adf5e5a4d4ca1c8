"""What is declared, for people at a terminal and for programs; no broker is asked."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import zip_longest
from textwrap import wrap

from topics.topic import FOREVER, Topic, TopicKind, wire_type

_HEADS = ("TOPIC", "KEY", "PARTITIONS", "KEPT", "CARRIES", "WHAT IT IS FOR")
_CARRIES_WIDTH, _DOC_WIDTH = 30, 40
_GAP, _NOTHING = "  ", "-"

# Whose keys are not declared, since they follow from those of others.
_KEYS = {TopicKind.DEAD_LETTERS: "as the source", TopicKind.CHANGELOG: "row"}


def lines(topics: Iterable[Topic], partitions: int) -> list[str]:
    """Return a table of topics.

    Args:
        topics: in the order in which they are shown.
        partitions: of those that have the shop's own number.
    """
    rows = [_HEADS, *(_cells(topic, partitions) for topic in topics)]
    columns = zip(*(map(_lines_of, row) for row in rows), strict=True)
    widths = [max(len(line) for cell in cells for line in cell) for cells in columns]
    return [line for row in rows for line in _row(row, widths)]


def as_json(topics: Iterable[Topic], partitions: int) -> str:
    """Return the same as JSON: a list of objects; milliseconds, null without a limit."""
    return json.dumps([_told(topic, partitions) for topic in topics], indent=2)


def _told(topic: Topic, partitions: int) -> dict[str, object]:
    limit = None if topic.retention == FOREVER else topic.retention
    return {
        "name": topic.name,
        "kind": topic.kind,
        "key": _key(topic),
        "partitions": topic.partitions or partitions,
        "retention_ms": limit // timedelta(milliseconds=1) if limit is not None else None,
        "compacted": topic.config.get("cleanup.policy") == "compact",
        "carries": _types(topic),
        "doc": topic.doc,
    }


def _cells(topic: Topic, partitions: int) -> tuple[str, ...]:
    return (
        topic.name,
        _key(topic) or _NOTHING,
        str(topic.partitions or partitions),
        format_retention(topic.retention),
        "\n".join(wrap(", ".join(_types(topic)), _CARRIES_WIDTH)) or _NOTHING,
        "\n".join(wrap(topic.doc, _DOC_WIDTH)),
    )


def _key(topic: Topic) -> str:
    return topic.key or _KEYS.get(topic.kind, "")


def _types(topic: Topic) -> list[str]:
    """Return what `type` says in the records of a topic."""
    return [wire_type(contract) for contract in topic.contracts]


def format_retention(time: timedelta | None) -> str:
    """Say how long records stay."""
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
    """Yield a row's lines: a cell may have several."""
    for parts in zip_longest(*map(_lines_of, cells), fillvalue=""):
        padded = (f"{part:<{width}}" for part, width in zip(parts, widths, strict=True))
        yield _GAP.join(padded).rstrip()
