"""Stock files: each valid line is a request."""

import csv
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from pathlib import Path

from click import UsageError
from pydantic import ValidationError
from pydantic_core import from_json

from schemas.decoder import explain, require_unique
from schemas.stock import ReceiveStock

COLUMNS = ("sku", "warehouseID", "count")
_NUMBER = re.compile(r"\s*-?[0-9]{1,30}\s*")
_SEPARATORS = (",", ";", "\t")
_AFTER_QUOTE = re.compile(r'" +(?=[,;\t\r\n]|\Z)')
_BEYOND = "a cell beyond the last column"
_REASONS, _LONGEST = 3, 100


@dataclass(frozen=True, slots=True)
class StockFile:
    """The lines of a file.

    Attributes:
        digest: of its bytes; part of the idempotency keys.
        lines: the requests of valid lines, by line number.
        bad: the number and the reason of each invalid line.
    """

    digest: str
    lines: dict[int, ReceiveStock] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def key(self, number: int) -> bytes:
        """Return the idempotency key of a line; a changed file has other keys."""
        return f"load:{self.digest}:{number}".encode()


def read(path: Path) -> StockFile:
    """Read a file and validate each line.

    Raises:
        UsageError: the file is unreadable, or has other columns.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    rows_of = _READERS.get(path.suffix.lower())
    if rows_of is None:
        raise UsageError(f"{path}: neither .csv nor .json")
    # The "Unicode text" of spreadsheets is UTF-16.
    is_utf_16 = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    try:
        rows = list(rows_of(content.decode("utf-16" if is_utf_16 else "utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    file = StockFile(sha256(content).hexdigest())
    for number, row in rows:
        try:
            request = ReceiveStock.model_validate(row, by_alias=True, by_name=False)
        except ValidationError as invalid:
            shown = json.dumps(row)
            reasons = explain(invalid, shown.encode(), "the line", ("receiveStock",))
            file.bad.append(f"line {number}: {reasons}, in {shown[:_LONGEST]}")
        else:
            file.lines[number] = request
    return file


def _of_csv(text: str) -> Iterator[tuple[int, object]]:
    """Yield rows with their line numbers; raise a ValueError about columns and quotes."""
    # Empty lines at the top have neither columns nor a separator, which depends on the
    # country of the spreadsheet.
    head = next(filter(str.strip, text.splitlines()), "")
    separator = max(_SEPARATORS, key=head.count)
    lines = StringIO(_AFTER_QUOTE.sub('"', text), newline="")
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        columns = _columns(next(filter(any, rows), []))
        for row in rows:
            if any(map(str.strip, row)):
                yield rows.line_num, _named(columns, row)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error


def _columns(head: list[str]) -> list[str]:
    """Return the names of columns; spreadsheets append columns without a name."""
    names = [cell.strip() for cell in head]
    while names and not names[-1]:
        names.pop()
    unknown = [f"{name[:_LONGEST]!r} is unknown" for name in names if name not in COLUMNS]
    missing = [f"{name} is missing" for name in COLUMNS if name not in names]
    twice = [f"{name} is there twice" for name in COLUMNS if names.count(name) > 1]
    if errors := [*unknown, *missing, *twice]:
        raise ValueError(
            f"the first line must be {','.join(COLUMNS)}, separated by a comma,"
            f" a semicolon or a tab: {'; '.join(errors[:_REASONS])}"
        )
    return names


def _named(columns: list[str], row: list[str]) -> dict[str, object]:
    cells: dict[str, object] = {
        name: int(cell) if _NUMBER.fullmatch(cell) else cell
        for name, cell in zip(columns, row, strict=False)
    }
    beyond = "".join(row[len(columns) :]).strip()
    return cells | {_BEYOND: beyond} if beyond else cells


def _of_json(text: str) -> Iterator[tuple[int, object]]:
    """Yield objects with their numbers, which start at one."""
    # The depth that json.loads accepts depends on the version of Python.
    rows = from_json(text)
    if not isinstance(rows, list):
        expected = f"a list of objects with {', '.join(COLUMNS)}"
        raise ValueError(f"not {expected}")  # noqa: TRY004 -- the file is wrong, not the code
    try:
        require_unique(text)
    except ValidationError as invalid:
        index, *path = invalid.errors()[0]["loc"]
        name = ".".join(map(str, path))[:_LONGEST]
        raise ValueError(f"line {int(index) + 1}: {name} is given more than once") from None
    yield from enumerate(rows, start=1)


_READERS = {".csv": _of_csv, ".json": _of_json}
