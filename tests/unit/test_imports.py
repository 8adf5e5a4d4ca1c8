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
PURE = {
    "agents/checkout/cart.py": {"schemas", "agents.refusal"},
    "agents/checkout/saga.py": {"schemas", "agents.checkout.cart"},
    "agents/loms/order.py": {"schemas", "agents.refusal"},
    "agents/loms/saga.py": {"schemas", "agents.loms.order"},
    "agents/loms/stock.py": {"schemas", "agents.refusal"},
    "agents/products/pricing.py": {"schemas", "agents.refusal"},
    "agents/notifications/notification.py": {"schemas"},
    "agents/notifications/html_body.py": {"agents.notifications.notification"},
    "agents/notifications/signature.py": set(),
}


def imported(source: str) -> Iterator[str]:
    """Yield the modules that a text imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package):
    above = set(MAY_IMPORT) - MAY_IMPORT[package]
    files = list((ROOT / package).rglob("*.py"))

    assert files
    for file in files:
        assert not above & {module.split(".")[0] for module in imported(file.read_text())}


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
