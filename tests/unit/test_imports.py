"""Who may import whom: schemas ← topics ← agents, and schemas ← topics ← gateway."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "topics": {"schemas", "topics"},
    "agents": {"schemas", "topics", "agents"},
    "gateway": {"schemas", "topics", "gateway"},
}
RULES = {
    *("schemas", "agents.aggregate", "agents.row_serde", "msgspec"),
    "topics.kafka.headers",  # names
}
PURE = {
    "agents/aggregate.py": {"schemas", "agents.row_serde", "topics.topic"},
    "agents/row_serde.py": {"msgspec", "pydantic"},
    "agents/checkout/cart.py": RULES,
    "agents/loms/order.py": RULES,
    "agents/loms/stock.py": RULES,
    "agents/products/pricing.py": {"schemas", "agents.aggregate"},
    "agents/notifications/notification.py": {"schemas", "jinja2"},
}
BELOW = {
    "topics/kafka": {
        "schemas",
        "topics.admin",
        "topics.catalog",
        "topics.kafka",
        "topics.topic",
    },
    "agents/runtime": {
        "schemas",
        "topics",
        "agents.aggregate",
        "agents.row_serde",
        "agents.runtime",
    },
    "agents/worker": {
        "schemas",
        "topics",
        "agents.aggregate",
        "agents.row_serde",
        "agents.runtime",
        "agents.worker",
    },
    "agents/ops/audit": {
        *("schemas", "topics", "agents.aggregate", "agents.row_serde", "agents.checkout"),
        *("agents.loms", "agents.runtime", "agents.ops.audit"),
    },
}
"""The packages that a folder may import, beside libraries."""


def imported(source: str) -> Iterator[str]:
    """Yield the modules that a text imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def _is_in(module: str, packages: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in packages)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package):
    above = {*MAY_IMPORT, "tests"} - MAY_IMPORT[package]
    files = list((ROOT / package).rglob("*.py"))

    assert files
    for file in files:
        assert not above & {module.split(".")[0] for module in imported(file.read_text())}


@pytest.mark.parametrize("folder", BELOW)
def test_a_folder_imports_only_what_lies_below_it(folder):
    files = list((ROOT / folder).rglob("*.py"))

    assert files
    for file in files:
        ours = {m for m in imported(file.read_text()) if m.split(".")[0] in MAY_IMPORT}
        assert [m for m in sorted(ours) if not _is_in(m, BELOW[folder])] == [], file


@pytest.mark.parametrize("package", ["schemas", "topics", "agents", "gateway"])
def test_only_tools_import_tools(package):
    """Nothing depends on what operators run, but the command line that starts it."""
    for file in (ROOT / package).rglob("*.py"):
        if (ROOT / "agents/ops") not in file.parents:
            assert not [m for m in imported(file.read_text()) if _is_in(m, {"agents.ops"})]


@pytest.mark.parametrize("path", PURE)
def test_pure_rules_import_nothing_that_could_wait_or_remember(path):
    modules = set(imported((ROOT / path).read_text()))
    allowed = PURE[path] | sys.stdlib_module_names - {"asyncio", "random", "time", "os"}

    assert {m for m in modules if not {m, m.split(".")[0]} & allowed} == set()


@pytest.mark.parametrize(
    ("text", "module"),
    [("import a.b", "a.b"), ("from a.b import c", "a.b"), ("from . import c", ".")],
)
def test_an_import_is_found_wherever_it_stands(text, module):
    assert [module] == list(imported(f"def f():\n    {text}"))
