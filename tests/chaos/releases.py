"""Other releases of the product: copies of its code with some edits."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agents.ops.local.deployment import REPOSITORY

PACKAGES = ("agents", "gateway", "schemas", "topics")
NEW_FIELD = "remark"
_NEW = f'    {NEW_FIELD}: str = "of the next release"\n'


class Edit(NamedTuple):
    """A text that occurs once in a file, and what follows it in the other release."""

    file: str
    text: str
    replacement: str


def _with_field(file: str, last: str) -> Edit:
    """Add a field to a row, behind another one."""
    return Edit(file, last, last + _NEW)


NEXT_RELEASE = (
    Edit("agents/runtime/state_store.py", "\nFORMAT = 2\n", "\nFORMAT = 1002\n"),
    _with_field(
        "agents/loms/order.py",
        "    answers: Mapping[int, bool] = field(default_factory=dict)\n",
    ),
    _with_field(
        "agents/loms/stock.py",
        "    reserved: Allocation = field(default_factory=dict)\n",
    ),
    _with_field(
        "agents/checkout/cart.py",
        "    checkouts: Mapping[str, Lines] = field(default_factory=dict)\n",
    ),
)
"""Rows have a field more, and local files of this release are unusable."""

SMALL_FILES = (
    Edit(
        "agents/runtime/database.py",
        "_MEMTABLE_BYTES = 4 << 20",
        "_MEMTABLE_BYTES = 64 << 10",
    ),
)
"""Rows reach RocksDB's files after seconds of traffic, not after hours."""


def copy_product(directory: Path, edits: Sequence[Edit]) -> Path:
    """Copy the product's code into a directory, unless it exists; return the directory."""
    if not directory.exists():
        for package in PACKAGES:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / package, directory / package, ignore=ignore)
        for edit in edits:
            file = directory / edit.file
            file.write_text(edited(file.read_text(), edit))
    return directory


def edited(code: str, edit: Edit) -> str:
    """Return a file's text in the other release.

    Raises:
        ValueError: the text to be replaced occurs never, or more than once.
    """
    if code.count(edit.text) != 1:
        raise ValueError(f"{edit.file}: {code.count(edit.text)} times: {edit.text}")
    return code.replace(edit.text, edit.replacement)
