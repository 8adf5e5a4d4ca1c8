"""The files of a checkpoint: they can be copied, and are verified when they are read.

2026-11-29T120000Z/
    SHA256SUMS                  of the other files; `sha256sum -c SHA256SUMS` verifies
    manifest.json               format, cluster, generation, time; of each log its offset
    stock.requests-0.jsonl.gz   rows: key, changed_at (an offset), row (as stored)
    turnover.jsonl.gz           units in all: topic, partition, sku, warehouse, and accounts
    sent.jsonl.gz               outputs: topic; key, value and headers in base64
"""

import gzip
import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from aiokafka import TopicPartition
from msgspec import DecodeError

from agents.ops.audit.checkpoint import Checkpoint
from agents.ops.audit.invariants import Balances
from agents.ops.audit.snapshots import (
    AGGREGATES,
    AnyAggregate,
    TableState,
    serde_of,
)
from agents.runtime.producer import ProducerRecord
from topics.cli import CommandError

FORMAT = 1
"""Raised with any change that an older release, or a newer one, can't read."""

_SUMS, _MANIFEST, _SENT = "SHA256SUMS", "manifest.json", "sent.jsonl.gz"
_TURNOVER = "turnover.jsonl.gz"
_GZIP_LEVEL = 6
_TABLES: dict[str, AnyAggregate] = {topic.name: AGGREGATES[topic] for topic in AGGREGATES}


def save(directory: Path, checkpoint: Checkpoint, now: datetime) -> Path:
    """Write a checkpoint into a new directory, named after the time; return its path.

    It appears under its name when all its files are on the disk.
    """
    path = directory / f"{now:%Y-%m-%dT%H%M%SZ}"
    with TemporaryDirectory(prefix=".new-", dir=directory) as name:
        temporary = Path(name)
        for tp, state in checkpoint.tables.items():
            if tp.topic in _TABLES:
                rows = _encoded_rows(_TABLES[tp.topic], state)
                _write_lines(temporary / _rows_file(tp), rows)
        _write_lines(temporary / _TURNOVER, _encoded_turnover(checkpoint))
        _write_lines(temporary / _SENT, map(_encoded_output, checkpoint.sent))
        manifest = {"format": FORMAT, "time": now, **_manifest(checkpoint)}
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (temporary / _MANIFEST).write_bytes(orjson.dumps(manifest, option=options))
        sums = "".join(f"{_digest(f)}  {f.name}\n" for f in sorted(temporary.iterdir()))
        (temporary / _SUMS).write_text(sums)
        for file in (*temporary.iterdir(), temporary):
            _sync(file)
        temporary.rename(path)
    _sync(directory)
    return path


def newest(directory: Path) -> Path:
    """Return the newest checkpoint of a directory; or itself, if it is a checkpoint.

    Raises:
        CommandError: there is none.
    """
    if (directory / _MANIFEST).exists():
        return directory
    found = directory.glob(f"[0-9]*/{_MANIFEST}")
    if path := max(found, default=None):
        return path.parent
    raise CommandError(f"there is no checkpoint in {directory}")


def load(path: Path) -> Checkpoint:
    """Verify and read a checkpoint.

    Raises:
        CommandError: it is damaged, or of another format.
    """
    _verify(path)
    manifest = orjson.loads((path / _MANIFEST).read_bytes())
    if manifest["format"] != FORMAT:
        raise CommandError(f"{path}: format {manifest['format']} instead of {FORMAT}")
    offsets, tables, turnover = {}, {}, _turnover(path)
    for name, log in manifest["logs"].items():
        topic, _, number = name.rpartition("-")
        tp = TopicPartition(topic, int(number))
        offsets[tp] = log["offset"]
        if "changed_end" in log:
            tables[tp] = replace(_table(path, tp, log), turnover=turnover[tp])
    sent = tuple(map(_output, _lines(path / _SENT)))
    place = manifest["cluster"], manifest["generation"]
    return Checkpoint(*place, offsets, tables, sent)


def _verify(path: Path) -> None:
    sums = path / _SUMS
    if not sums.exists():
        raise CommandError(f"{sums} is missing")
    digests = dict(line.split("  ")[::-1] for line in sums.read_text().splitlines())
    for name in digests.keys() | {_MANIFEST, *(file.name for file in path.glob("*.gz"))}:
        file = path / name
        if not file.exists() or _digest(file) != digests.get(name):
            raise CommandError(f"{file} is missing, or is not the file that was written")


def _manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    logs = {}
    for tp, offset in checkpoint.offsets.items():
        logs[f"{tp.topic}-{tp.partition}"] = log = {"offset": offset}
        if state := checkpoint.tables.get(tp):
            log |= {"changed_end": state.changed_end, "rows": len(state.rows)}
            log |= {"newest_ms": state.newest_ms}
    return {
        "cluster": checkpoint.cluster,
        "generation": checkpoint.generation,
        "logs": logs,
    }


def _encoded_rows(aggregate: AnyAggregate, state: TableState) -> Iterator[bytes]:
    for key, row in state.rows.items():
        value = orjson.Fragment(serde_of(aggregate, key).serialize(row))
        yield orjson.dumps({"key": key, "changed_at": state.changed_at[key], "row": value})


def _table(path: Path, tp: TopicPartition, log: dict[str, int]) -> TableState:
    rows, changed_at = {}, {}
    if tp.topic in _TABLES:
        file, aggregate = path / _rows_file(tp), _TABLES[tp.topic]
        for line in _lines(file):
            key = line["key"]
            try:
                row = serde_of(aggregate, key).deserialize(orjson.dumps(line["row"]))
            except DecodeError as error:
                text = f"{file}: this release can't read row {key!r}"
                raise CommandError(text) from error
            rows[key], changed_at[key] = row, line["changed_at"]
    ends = log["changed_end"], log["newest_ms"]
    return TableState(log["offset"], rows, changed_at, *ends)


def _encoded_turnover(checkpoint: Checkpoint) -> Iterator[bytes]:
    for (topic, number), state in checkpoint.tables.items():
        for (sku, warehouse), units in state.turnover.items():
            place = {"topic": topic, "partition": number, "sku": sku}
            # Sums may exceed 64 bits, which orjson refuses.
            line = {**place, "warehouse": warehouse, "units": units}
            yield json.dumps(line).encode()


def _turnover(path: Path) -> defaultdict[TopicPartition, Balances]:
    found: defaultdict[TopicPartition, Balances] = defaultdict(lambda: defaultdict(Counter))
    for line in _lines(path / _TURNOVER, json.loads):
        tp = TopicPartition(line["topic"], line["partition"])
        found[tp][line["sku"], line["warehouse"]].update(line["units"])
    return found


def _encoded_output(record: ProducerRecord) -> bytes:
    return orjson.dumps(
        {
            "topic": record.topic,
            "key": _text(record.key),
            "value": _text(record.value),
            "headers": [[name, _text(value)] for name, value in record.headers],
        }
    )


def _output(line: dict[str, Any]) -> ProducerRecord:
    headers = [(name, _bytes(value)) for name, value in line["headers"]]
    return ProducerRecord(
        line["topic"], _bytes(line["key"]), _bytes(line["value"]), headers
    )


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


def _bytes(text: str | None) -> Any:  # noqa: ANN401 -- a header may lack its value, too
    return None if text is None else b64decode(text)


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with gzip.open(path, "wb", compresslevel=_GZIP_LEVEL) as file:
        file.writelines(line + b"\n" for line in lines)


def _lines(
    path: Path, loads: Callable[[bytes], dict[str, Any]] = orjson.loads
) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rb") as file:
        yield from map(loads, file)


def _rows_file(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}.jsonl.gz"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Write a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
