"""JSON schemas of contracts, the same in every document."""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from schemas.contract import Contract

_REFERENCE = "#/components/schemas/{model}"  # in OpenAPI and AsyncAPI


def definitions(contracts: Iterable[type[Contract]]) -> dict[str, Any]:
    """Return the schemas of contracts and of their parts, by name."""
    ordered = sorted(set(contracts), key=lambda contract: contract.__name__)
    _, document = models_json_schema(
        [(contract, "validation") for contract in ordered], ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def reference(name: str) -> dict[str, str]:
    """Return a reference to a schema."""
    return {"$ref": _REFERENCE.format(model=name)}
