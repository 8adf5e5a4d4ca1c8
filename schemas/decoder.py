"""Decodes JSON as a contract, whose fields are complete, valid and unique."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.contract import Contract

DUPLICATE = "duplicate_field"
MISSING = "missing"

_MAX_INVALID_BYTES = 2**16
"""A larger invalid value is not searched for duplicates: that takes long."""
_SPACED_COLON = re.compile(rb"[ \t\r\n]:")

Path = tuple[str | int, ...]


class Decoder:
    """Decodes JSON as a contract, or as one of a union of contracts."""

    def __init__(self, carries: Any) -> None:  # noqa: ANN401 -- a union is no type
        adapter: TypeAdapter[Contract] = TypeAdapter(carries)
        self._validate = adapter.validator.validate_json

    def decode(self, value: bytes) -> Contract:
        """Return the message.

        Raises:
            pydantic.ValidationError: the value breaks the contract, or repeats a field.
        """
        try:
            message: Contract = self._validate(value, by_alias=True, by_name=False)
        except ValidationError as error:
            if len(value) <= _MAX_INVALID_BYTES and not _is_syntax(error):
                require_unique(value)
            raise
        if _may_repeat(value, _field_count(message)):
            require_unique(value)
        return message


def _may_repeat(value: bytes, fields: int) -> bool:
    """Return whether a field of valid JSON may be a duplicate of another.

    Pydantic keeps the last of duplicates, so a message has at most as many fields as the
    text has different ones. Each field of the text has a colon, which follows a quote
    unless a space precedes it. If these are as many as the message's fields, there are no
    duplicates. Otherwise a search decides, which takes ten times as long.
    """
    if value.count(b":") == fields:
        return False
    return value.count(b'":') != fields or _SPACED_COLON.search(value) is not None


def _is_syntax(error: ValidationError) -> bool:
    if error.error_count() > 1:
        return False
    [only] = error.errors(include_url=False, include_context=False, include_input=False)
    return only["type"] == "json_invalid"


def _field_count(message: Contract) -> int:
    """Count the fields that are set in a message and its items."""
    count = len(message.__pydantic_fields_set__)
    for value in message.__dict__.values():
        if type(value) is tuple:
            count += sum([len(item.__pydantic_fields_set__) for item in value])
    return count


def require_unique(value: bytes | str) -> None:
    """Raise a ValidationError that names the first duplicate field of valid JSON."""
    text = value if isinstance(value, str) else value.decode(errors="surrogateescape")
    try:
        _SEARCH.decode(text)
    except _DuplicateError:
        path = next(_duplicates(_FIELDS.decode(text), ()), ())
        raise invalid(DUPLICATE, "is given more than once", path) from None


def invalid(kind: str, reason: str, path: Path) -> ValidationError:
    """Return the error of one field."""
    custom = PydanticCustomError(kind, reason)
    details = InitErrorDetails(type=custom, loc=path, input=None)
    return ValidationError.from_exception_data("message", [details], hide_input=True)


class _DuplicateError(Exception):
    """An object has the same field twice."""


def _require_unique(fields: list[tuple[str, Any]]) -> None:
    if len(dict(fields)) < len(fields):
        raise _DuplicateError


class _Object(list[tuple[str, Any]]):
    """The fields of a JSON object in order, duplicates included."""


# As lenient as pydantic: `int` would refuse a number with too many digits.
_SEARCH = json.JSONDecoder(object_pairs_hook=_require_unique, parse_int=float, strict=False)
_FIELDS = json.JSONDecoder(object_pairs_hook=_Object, parse_int=float, strict=False)


def _duplicates(value: object, path: Path) -> Iterator[Path]:
    if not isinstance(value, list):
        return
    names: set[str | int] = set()
    for name, part in value if isinstance(value, _Object) else enumerate(value):
        if name in names:
            yield (*path, name)
        names.add(name)
        yield from _duplicates(part, (*path, name))
