"""A file of goods: each line is a request, once it has been found to be a valid one.

sku,warehouseID,count            [{"sku": 1076963, "warehouseID": 10, "count": 70},
1076963,10,70                     {"sku": 1148162, "warehouseID": 1, "count": 67}]
1148162,1,67
"""

import csv
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from agents.ops.cli import UsageError
from schemas.decoder import require_unique
from schemas.stock import ReceiveStock

COLUMNS = ("sku", "warehouseID", "count")
_NUMBER = re.compile(r"\s*(-?[0-9]{1,30})\s*")
_SEPARATORS = (",", ";", "\t")
_AFTER_QUOTE = re.compile(r'" +(?=[,;\t\r\n]|\Z)')
_BEYOND = "beyond the last column"
_REASONS, _LONGEST = 3, 100


class StockLine(NamedTuple):
    """A valid line, by its number in the file."""

    number: int
    request: ReceiveStock


class BadLine(NamedTuple):
    """A line that is no request, and why."""

    number: int
    reason: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"line {self.number}: {self.reason}"


@dataclass(frozen=True, slots=True)
class StockFile:
    """What a file says.

    Attributes:
        digest: of its bytes; names the delivery.
    """

    digest: str
    lines: list[StockLine]
    bad: list[BadLine]

    def key(self, line: StockLine) -> bytes:
        """Return the idempotency key of a line: the same in the same file only."""
        return f"load:{self.digest}:{line.number}".encode()


def read(path: Path) -> StockFile:
    """Read a file and look at each of its lines.

    Raises:
        MisusedError: it can't be read, or is not made of lines with these columns.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    rows_of = _READERS.get(path.suffix.lower())
    if rows_of is None:
        raise UsageError(f"{path}: neither .csv nor .json")
    try:
        rows = list(rows_of(content.decode(_encoding(content))))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    delivery = StockFile(sha256(content).hexdigest(), [], [])
    for number, row in rows:
        _look_at(delivery, number, row)
    return delivery


def _encoding(content: bytes) -> str:
    """Return the encoding of a file; what spreadsheets call Unicode text is UTF-16."""
    is_utf_16 = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return "utf-16" if is_utf_16 else "utf-8-sig"


def _look_at(delivery: StockFile, number: int, row: object) -> None:
    try:
        request = ReceiveStock.model_validate(row, by_alias=True, by_name=False)
    except ValidationError as wrong:
        delivery.bad.append(BadLine(number, "; ".join(_reasons(wrong))))
    else:
        delivery.lines.append(StockLine(number, request))


def _reasons(wrong: ValidationError) -> Iterator[str]:
    for error in wrong.errors(include_url=False, include_context=False)[:_REASONS]:
        where = ".".join(map(str, error["loc"]))[:_LONGEST] or "value"
        given = json.dumps(error["input"])
        told = error["type"] != "missing" and len(given) <= _LONGEST
        yield f"{where}: {error['msg'][:_LONGEST]}{f', not {given}' if told else ''}"


def _of_csv(text: str) -> Iterator[tuple[int, object]]:
    """Yield rows with the numbers of their lines.

    Raises:
        ValueError: the columns are others, or one can't tell where they end.
    """
    # An empty line at the top has no columns, and the separator is not in it.
    lines = StringIO(_AFTER_QUOTE.sub('"', text), newline="")
    rows = csv.reader(lines, delimiter=_separator(text), skipinitialspace=True, strict=True)
    try:
        columns = _columns(next(filter(any, rows), []))
        for row in rows:
            if any(map(str.strip, row)):
                yield rows.line_num, _named(columns, row)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error


def _separator(text: str) -> str:
    """Return what separates the columns: spreadsheets write what their country uses."""
    head = next(filter(str.strip, text.splitlines()), "")
    return max(_SEPARATORS, key=head.count)


def _columns(head: list[str]) -> list[str]:
    """Return the names of the columns.

    Raises:
        ValueError: a column is missing, unknown or there twice.
    """
    names = _without_empty_ends(head)
    unknown = [f"{name[:_LONGEST]!r} is unknown" for name in names if name not in COLUMNS]
    missing = [f"{name} is missing" for name in COLUMNS if name not in names]
    twice = [f"{name} is there twice" for name in COLUMNS if names.count(name) > 1]
    if wrong := [*unknown, *missing, *twice]:
        raise ValueError(
            f"the first line must be {','.join(COLUMNS)}, separated by a comma,"
            f" a semicolon or a tab: {'; '.join(wrong[:_REASONS])}"
        )
    return names


def _named(columns: list[str], row: list[str]) -> dict[str, object]:
    named = {name: _value(cell) for name, cell in zip(columns, row, strict=False)}
    beyond = _without_empty_ends(row[len(columns) :])
    return named | ({_BEYOND: beyond} if beyond else {})


def _without_empty_ends(cells: list[str]) -> list[str]:
    """Return stripped cells; spreadsheets also write columns in which nothing is left."""
    stripped = [cell.strip() for cell in cells]
    while stripped and not stripped[-1]:
        stripped.pop()
    return stripped


def _value(cell: object) -> object:
    """Return a number if it is one; whatever else there is can't be right."""
    found = _NUMBER.fullmatch(cell) if isinstance(cell, str) else None
    return int(found[1]) if found else cell


def _of_json(text: str) -> Iterator[tuple[int, object]]:
    """Yield objects with their numbers, from one.

    Raises:
        ValueError: it is no list, or an object has the same field twice.
    """
    # The depth that json.loads accepts depends on the version of Python.
    rows = from_json(text)
    if not isinstance(rows, list):
        wanted = f"a list of objects with {', '.join(COLUMNS)}"
        raise ValueError(f"not {wanted}")  # noqa: TRY004 -- nobody's code is at fault
    try:
        require_unique(text)
    except ValidationError as wrong:
        index, *path = wrong.errors()[0]["loc"]
        name = ".".join(map(str, path))[:_LONGEST]
        raise ValueError(f"line {int(index) + 1}: {name} is given more than once") from None
    yield from enumerate(rows, start=1)


_READERS = {".csv": _of_csv, ".json": _of_json}
