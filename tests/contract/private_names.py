"""Finds the private and undocumented names of foreign packages that a module uses."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

PRODUCT = ("agents", "gateway", "schemas", "topics")
UNDOCUMENTED = (
    "aiokafka.client.",
    "aiokafka.coordinator.protocol.",
    "aiokafka.protocol.",
    "aiokafka.record.",
)
"""Modules whose names have no underscore, and no documentation."""

_NAMED_TUPLE = ("_asdict", "_fields", "_make", "_replace")


def names_used(source: str, namespace: Mapping[str, Any]) -> set[str]:
    """Return the names that a module accesses, imports or overrides.

    Args:
        source: of the module.
        namespace: of the module: resolves its classes and imports.
    """
    tree = ast.parse(source)
    own = set(assigned(tree))
    found = set(_imported(tree))
    for node, owner in _with_class(tree, None):
        if isinstance(node, ast.ClassDef):
            found |= set(assigned(node)) & _inherited(namespace.get(node.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            found |= _accessed(node, namespace, owner, own)
    return found


def is_private(name: str) -> bool:
    """Return whether a name has one leading underscore, and is none of a named tuple."""
    return (
        name.startswith("_")
        and not name.endswith("_")
        and name != "_"
        and not name.startswith("__")
        and name not in _NAMED_TUPLE
    )


def assigned(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that code defines, or assigns to `self` or `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names = [node.attr] if _is_self(node.value) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]  # of __slots__
        else:
            names = []
        yield from filter(is_private, names)


@cache
def of_class(cls: type) -> set[str]:
    """Return the private names that a class itself defines or assigns."""
    names = set(filter(is_private, vars(cls)))
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # compiled
        return names
    return names | set(assigned(ast.parse(source)))


def is_foreign(module: str) -> bool:
    """Return whether a module is neither the product's nor the standard library's."""
    top = module.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in PRODUCT


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and is_foreign(node.module or ""):
            hidden = f"{node.module}.".startswith(UNDOCUMENTED)
            names = (alias.name for alias in node.names)
            yield from (name for name in names if hidden or is_private(name))


def _with_class(tree: ast.AST, owner: str | None) -> Iterator[tuple[ast.AST, str | None]]:
    for node in ast.iter_child_nodes(tree):
        yield node, owner
        inner = node.name if isinstance(node, ast.ClassDef) else owner
        yield from _with_class(node, inner)


def _accessed(
    node: ast.Attribute, namespace: Mapping[str, Any], owner: str | None, own: set[str]
) -> set[str]:
    if _is_self(node.value) or _is_super(node.value):
        return {node.attr} & _inherited(namespace.get(owner or ""))
    root = namespace.get(node.value.id) if isinstance(node.value, ast.Name) else None
    if isinstance(root, ModuleType):
        return {node.attr} if is_foreign(root.__name__) else set()
    return set() if node.attr in own and not _is_nested(node.value) else {node.attr}


def _inherited(cls: Any) -> set[str]:
    """Return the private names of the foreign bases of a class."""
    if not isinstance(cls, type):
        return set()
    bases = (base for base in cls.__mro__ if is_foreign(base.__module__))
    return {name for base in bases for name in of_class(base)}


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_super(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "super"
    )


def _is_nested(node: ast.AST) -> bool:
    """Return whether an object is reached through another one: `self.x` or `f()`."""
    return not isinstance(node, ast.Name)
