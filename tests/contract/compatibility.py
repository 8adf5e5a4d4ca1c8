"""How contracts, rows and topics may change, checked against golden files.

A golden file holds the schema of the last release, one for each message and row. After an
addition, `python -m tests.contract.compatibility` writes them again; it refuses to do so
for an incompatible change. For an intended one, delete the file first.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import TypeAdapter

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.row_serde import TableRow
from schemas.contract import SHARDS
from schemas.order import order_id
from tests.contract.goldens import GOLDENS
from topics.catalog import TOPICS
from topics.kafka.location import partition_of
from topics.topic import Topic

GOLDEN = Path(__file__).parent / "golden"
REGENERATE = "python -m tests.contract.compatibility"

_WORDS = {"title", "description"}
_KEYS = ("1", "7", "-42", "4095", "1076963", "9223372036854775807")
_PARTITIONS = 8

Document = Mapping[str, Any]


def now() -> dict[str, Document]:
    """Return all schemas, by the name of their golden file."""
    aggregates = (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
    rows = [row for a in aggregates for rows in a.rows for row in get_args(rows) or (rows,)]
    return {
        **{contract.__name__: schema(contract) for contract in GOLDENS},
        **{f"row-{row.__name__}": _row_schema(row) for row in rows},
        "topics": {topic.name: _topic(topic) for topic in TOPICS},
        "places": _places(),
    }


def schema(contract: Any) -> Document:
    """Return a contract's JSON schema, with what it refers to in its place."""
    schema = TypeAdapter(contract).json_schema()
    return _resolved(schema, schema.get("$defs", {}))


def _row_schema(row: type[TableRow]) -> Document:
    document = msgspec.json.schema(row, schema_hook=schema)
    return _resolved(document, document["$defs"])


def golden(name: str) -> Document | None:
    """Return the schema of the last release; None if it is new."""
    file = GOLDEN / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def breaks(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield each incompatible change of a schema, with the readers that it breaks."""
    match before, after:
        case {"properties": _}, {"properties": _}:
            yield from _broken_fields(before, after, place)
        case dict(), dict():
            yield from _broken_entries(before, after, place)
        case list(), list() if len(before) == len(after):
            for number, pair in enumerate(zip(before, after, strict=True)):
                yield from breaks(*pair, f"{place}[{number}]")
        case _ if before != after:
            yield f"{place}: {before!r} became {after!r}: who goes by the old one errs"


def _broken_fields(before: Document, after: Document, place: str) -> Iterator[str]:
    old, new = before["properties"], after["properties"]
    for name in old.keys() - new.keys():
        yield f"{place}.{name}: is gone: who reads it, or still sends it, fails"
    was, must = set(before.get("required", ())), set(after.get("required", ()))
    for name in must - was:
        yield f"{place}.{name}: must be there now: stored records and old senders lack it"
    for name in (was - must) & new.keys():
        yield f"{place}.{name}: may be missing now: old readers need it"
    for name in old.keys() & new.keys():
        yield from breaks(old[name], new[name], f"{place}.{name}")
    if after.get("additionalProperties") is False is not before.get("additionalProperties"):
        yield f"{place}: refuses unknown fields now: newer senders are not understood"


def _broken_entries(before: Document, after: Document, place: str) -> Iterator[str]:
    if before.get("properties") != after.get("properties"):
        yield f"{place}: is something else now: neither release can read the other's"
        return
    for name in (before.keys() | after.keys()) - _WORDS:
        yield from breaks(before.get(name), after.get(name), f"{place}.{name}")


def broken_topics(before: Document, after: Document) -> Iterator[str]:
    """Yield each incompatible change of the topics."""
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"{name}: is gone: its records are lost to everybody"
            continue
        for what in ("key", "kind", "partitions"):
            if old[what] != new[what]:
                yield f"{name}: {what} {old[what]!r} became {new[what]!r}: records move"
        for contract in sorted(set(old["carries"]) - set(new["carries"])):
            yield f"{name}: carries no {contract} any more: stored ones become dead letters"


def broken(name: str, before: Document, after: Document) -> list[str]:
    """Say how a golden file is contradicted."""
    if name == "topics":
        return sorted(broken_topics(before, after))
    return sorted(breaks(before, after, name))


def _resolved(schema: Any, definitions: Document) -> Any:
    match schema:
        case {"$ref": str(reference), **rest}:
            inner = definitions[reference.rpartition("/")[2]]
            return _resolved(inner, definitions) | _resolved(rest, definitions)
        case dict():
            kept = (
                (k, v) for k, v in schema.items() if k not in ("$defs", "discriminator")
            )
            return {name: _resolved(value, definitions) for name, value in kept}
        case list():
            return [_resolved(each, definitions) for each in schema]
    return schema


def _topic(topic: Topic) -> Document:
    carries = sorted(contract.__name__ for contract in topic.contracts)
    return {
        "key": topic.key,
        "kind": topic.kind,
        "partitions": topic.partitions,
        "carries": carries,
    }


def _places() -> Document:
    """Where records and orders are: moved, they would never be found again."""
    return {
        "shards": SHARDS,
        "partition": {key: partition_of(key.encode(), _PARTITIONS) for key in _KEYS},
        "order": {key: order_id(int(key), f"key:{key}") for key in _KEYS},
    }


def main() -> int:
    """Write the golden files, unless a change is incompatible."""
    wrong = [
        line
        for name, after in now().items()
        if (before := golden(name)) is not None
        for line in broken(name, before, after)
    ]
    for line in wrong:
        print(line)  # noqa: T201
    if wrong:
        return 1
    GOLDEN.mkdir(exist_ok=True)
    for name, document in now().items():
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        (GOLDEN / f"{name}.json").write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
