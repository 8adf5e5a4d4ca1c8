"""The parts of Faust, aiokafka and aiohttp that we replace or reach into, as installed.

After an upgrade, the rows that no longer fit fail here.
"""

import inspect
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agents.worker import compat as worker
from tests.contract.inner_names import INNER_NAMES, InnerNames
from tests.contract.private_names import (
    PRODUCT,
    UNDOCUMENTED,
    is_foreign,
    is_private,
    names_used,
    of_class,
)
from topics.kafka import compat as kafka
from topics.kafka.compat import NONE_FILED, Replacement

ROOT = Path(__file__).parents[2]
REPLACEMENTS = (*kafka.REPLACEMENTS, *worker.REPLACEMENTS)
TABLE = INNER_NAMES
ROWS = [
    pytest.param(name, signature, id=f"{row.file}: {name}")
    for row in TABLE
    for name, signature in row.objects.items()
]
FOREIGN_PREFIXES = ("aiohttp.", "aiokafka.", "faust.", "mode.")


def signature_of(found: Any) -> str:
    """Its parameters without annotations; empty where Python knows none."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return ""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def look_up(name: str) -> str:
    """Return the signature of `module:Class.name`; empty for an attribute.

    Raises:
        AttributeError: the installed version lacks it.
    """
    module, _, path = name.partition(":")
    owner: Any = import_module(module)
    *classes, last = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    if isinstance(owner, type):  # another test may have replaced it
        owner = next(base for base in owner.__mro__ if is_foreign(base.__module__))
    if isinstance(owner, type) and not callable(getattr(owner, last, None)):
        if not any(last in of_class(base) for base in owner.__mro__):
            raise AttributeError(name)
        return ""
    return signature_of(getattr(owner, last))


@pytest.mark.parametrize(("name", "signature"), ROWS)
def test_a_name_that_we_use_is_there_as_the_table_says(name: str, signature: str):
    assert look_up(name) == signature


@pytest.mark.parametrize("name", ["BatchBuilder.append_all", "BatchBuilder._lost"])
def test_a_name_that_is_gone_is_missed(name: str):
    with pytest.raises(AttributeError):
        look_up(f"aiokafka.producer.message_accumulator:{name}")


def test_what_is_replaced_is_what_the_table_says():
    """In a process of its own: here it may be replaced already."""
    code = "from tests.contract.test_compat import print_originals as p; p()"
    words = [sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = [f"{row.name} {row.signature} True" for row in REPLACEMENTS]
    assert ran.stdout.splitlines() == expected


def print_originals() -> None:
    """Print each name to be replaced, the signature, and whether it is the original."""
    for row in REPLACEMENTS:
        original = getattr(row.owner, row.name)
        theirs = original.__module__.startswith(FOREIGN_PREFIXES)
        sys.stdout.write(f"{row.name} {signature_of(original)} {theirs}\n")


def test_applying_twice_is_as_good_as_once(monkeypatch: pytest.MonkeyPatch):
    for row in REPLACEMENTS:
        monkeypatch.setattr(row.owner, row.name, None)
    for _ in range(2):
        worker.apply()
        assert [getattr(row.owner, row.name) for row in REPLACEMENTS] == [
            row.by for row in REPLACEMENTS
        ]


def test_no_client_of_the_shop_connects_without_the_replacements():
    code = (
        "from aiokafka import conn\n"
        "import agents.worker.service, gateway.server, topics.admin, topics.kafka.reader\n"
        "from topics.kafka.settings import KafkaSettings\n"
        "print(conn.AIOKafkaConnection.__module__)\n"
        "KafkaSettings().client_options()\n"
        "print(conn.AIOKafkaConnection.__module__)\n"
    )
    words = [sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["aiokafka.conn", "topics.kafka.connection"]


def test_each_row_gives_a_reason_and_an_issue():
    rows: list[Replacement | InnerNames] = [*REPLACEMENTS, *TABLE]
    for row in rows:
        assert row.why
        assert row.upstream == NONE_FILED or "#" in row.upstream


def test_each_inner_name_that_is_used_is_in_a_table_for_its_file():
    listed = defaultdict[str, set[str]](set)
    for row in TABLE:
        listed[row.file] |= {inner for name in row.objects for inner in inner_parts(name)}
    used = {
        str(file.relative_to(ROOT)): names
        for package in PRODUCT
        for file in (ROOT / package).rglob("*.py")
        if not file.stem.endswith("_pb2")
        if (names := names_used(file.read_text(), vars(import_module(_module(file)))))
    }
    assert used == listed


def inner_parts(name: str) -> list[str]:
    """Return the parts of a row's path that are private, or undocumented."""
    module, _, path = name.partition(":")
    hidden = f"{module}.".startswith(UNDOCUMENTED)
    parts = path.split(".")
    return [p for p in parts if is_private(p) or (hidden and p == parts[0])]


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from aiokafka.record.memory_records import _MemoryRecordsPy", "_MemoryRecordsPy"),
        ("from aiokafka.protocol.fetch import FetchRequest", "FetchRequest"),
        ("class A(Fetcher):\n  def _proc_fetch_request(self): ...", "_proc_fetch_request"),
        ("class A(Fetcher):\n  def f(self): return self._client", "_client"),
        ("class A(Fetcher):\n  def f(self): super()._get_actions_per_node()", None),
        ("def f(consumer): return consumer._coordinator", "_coordinator"),
        ("def f(a): return a.b.c()._coordinator", "_coordinator"),
        ("def f(a):\n  a._fetch_max_wait_ms = 1", "_fetch_max_wait_ms"),
        ("x = fetcher._anything", "_anything"),
    ],
)
def test_a_planted_inner_name_is_found(line: str, found: str | None):
    assert scan(line) == {found or "_get_actions_per_node"}


@pytest.mark.parametrize(
    "line",
    [
        "class A:\n  def f(self): return self._client",
        "class A(Fetcher):\n  def f(self): self._of_our_own = 1",
        "class A:\n  _a = 1\n  def f(self, other): return other._a",
        "import os\ndef f(): os._exit(1)",
        "def f(record): return record._replace(key=None)",
        "from aiokafka.errors import KafkaError",
    ],
)
def test_names_of_our_own_are_none(line: str):
    assert scan(line) == set()


def scan(line: str) -> set[str]:
    """The names that the scanner finds in a text of two modules of aiokafka."""
    source = f"from aiokafka.consumer import fetcher\nFetcher = fetcher.Fetcher\n{line}\n"
    namespace: dict[str, Any] = {"__name__": "agents.planted"}
    exec(source.replace("x = fetcher._anything", ""), namespace)
    return names_used(source, namespace)
