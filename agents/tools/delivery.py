"""A file of goods: each line is a request, once it has been found to be a valid one.

sku,warehouseID,count            [{"sku": 1076963, "warehouseID": 10, "count": 70},
1076963,10,70                     {"sku": 1148162, "warehouseID": 1, "count": 67}]
1148162,1,67
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from agents.tools.exits import MisusedError
from schemas.stock import ReceiveStock

COLUMNS = ("sku", "warehouseID", "count")
_NUMBER = re.compile(r"\s*(-?[0-9]{1,30})\s*")
_BEYOND = "beyond the last column"
_REASONS, _LONGEST = 3, 100


class Line(NamedTuple):
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
class Delivery:
    """What a file says.

    Attributes:
        digest: of its bytes; names the delivery.
    """

    digest: str
    lines: list[Line]
    bad: list[BadLine]

    def key(self, line: Line) -> bytes:
        """Return the idempotency key of a line: the same in the same file only."""
        return f"load:{self.digest}:{line.number}".encode()


def read(path: Path) -> Delivery:
    """Read a file and look at each of its lines.

    Raises:
        MisusedError: it can't be read, or is not made of lines with these columns.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MisusedError(f"{path}: {error.strerror}") from error
    rows_of = _READERS.get(path.suffix.lower())
    if rows_of is None:
        raise MisusedError(f"{path}: neither .csv nor .json")
    try:
        rows = list(rows_of(content.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise MisusedError(f"{path}: {error}") from error
    delivery = Delivery(sha256(content).hexdigest(), [], [])
    for number, row in rows:
        _look_at(delivery, number, row)
    return delivery


def _look_at(delivery: Delivery, number: int, row: object) -> None:
    try:
        request = ReceiveStock.model_validate(row, by_alias=True, by_name=False)
    except ValidationError as wrong:
        delivery.bad.append(BadLine(number, "; ".join(_reasons(wrong))))
    else:
        delivery.lines.append(Line(number, request))


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
    rows = csv.DictReader(
        StringIO(text, newline=""), restkey=_BEYOND, skipinitialspace=True, strict=True
    )
    try:
        if sorted(rows.fieldnames or ()) != sorted(COLUMNS):
            raise ValueError(f"the first line must be {','.join(COLUMNS)}")
        for row in rows:
            yield rows.line_num, {n: _value(v) for n, v in row.items() if v is not None}
    except csv.Error as error:
        raise ValueError(f"line {rows.reader.line_num}: {error}") from error


def _value(cell: object) -> object:
    """Return a number if it is one; whatever else there is can't be right."""
    found = _NUMBER.fullmatch(cell) if isinstance(cell, str) else None
    return int(found[1]) if found else cell


def _of_json(text: str) -> Iterator[tuple[int, object]]:
    """Yield objects with their numbers, from one.

    Raises:
        ValueError: it is no list.
    """
    # The depth that json.loads accepts depends on the version of Python.
    rows = from_json(text)
    if not isinstance(rows, list):
        wanted = f"a list of objects with {', '.join(COLUMNS)}"
        raise ValueError(f"not {wanted}")  # noqa: TRY004 -- nobody's code is at fault
    yield from enumerate(rows, start=1)


_READERS = {".csv": _of_csv, ".json": _of_json}
