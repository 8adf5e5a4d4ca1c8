"""Contracts as JSON schemas: the same under the same name in every document."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from schemas.contract import Contract

_WHERE = "#/components/schemas/{model}"  # in OpenAPI, and in AsyncAPI too


def definitions(contracts: Iterable[type[Contract]]) -> dict[str, Any]:
    """Return the schema of each contract, and of what they contain, by name."""
    ordered = sorted(set(contracts), key=lambda contract: contract.__name__)
    _, found = models_json_schema(
        [(contract, "validation") for contract in ordered], ref_template=_WHERE
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def reference(name: str) -> dict[str, str]:
    """Point to the schema of that name."""
    return {"$ref": _WHERE.format(model=name)}
