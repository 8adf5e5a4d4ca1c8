"""Decodes JSON as a contract, and explains why a value is no valid one.

The fields of a valid value are complete, in their ranges, and unique.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from schemas.contract import MAX_LINES, Contract

DUPLICATE = "duplicate_field"
MISSING = "missing"
TYPE_IS_NO_FIELD = "type is not a field of this call: the path selects the call"

_MAX_INVALID_BYTES = 2**16
"""A larger invalid value is not searched for duplicates: that takes long."""
_SPACED_COLON = re.compile(rb"[ \t\r\n]:")

_MAX_LISTED = 1000
_MAX_NAMED = 10
_MAX_NAME_CHARS = 100
_MAX_CHARS = 600

_REASONS = {
    MISSING: "is missing",
    DUPLICATE: "is given more than once",
    "extra_forbidden": "is not a field of this call",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "tuple_type": "must be a JSON array",
    "int_type": "must be an integer, without quotes, fraction or exponent",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "datetime_type": "must be a date and time as in RFC 3339",
    "datetime_parsing": "must be a date and time as in RFC 3339",
    "datetime_from_date_parsing": "must be a date and time as in RFC 3339",
    "too_short": "must not be empty",
    "too_long": f"must not be longer than {MAX_LINES}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
_ENCODINGS = {
    b"\xef\xbb\xbf": "it begins with a byte order mark (EF BB BF), which must be left out",
    b"\x1f\x8b": "it is compressed (gzip); compression is not supported",
    b"\xff\xfe": "it is UTF-16 or UTF-32; JSON must be UTF-8",
    b"\xfe\xff": "it is UTF-16; JSON must be UTF-8",
    b"{\0": "it is UTF-16 or UTF-32; JSON must be UTF-8",
    b"\0{": "it is UTF-16; JSON must be UTF-8",
    b"\0": "it begins with a zero byte, as written by a schema registry's serializer",
}
_SYNTAX = {
    "recursion limit exceeded": "arrays or objects are nested too deep",
    "number out of range": "a number has too many digits",
    "invalid unicode code point": "a character is not UTF-8",
    "trailing characters": "more characters follow the JSON value",
    "unexpected end of hex escape": "an escaped character is half a surrogate pair",
}

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
        raise invalid(DUPLICATE, path) from None


def invalid(kind: str, path: Path) -> ValidationError:
    """Return the error of one field."""
    custom = PydanticCustomError(kind, _REASONS[kind])
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


def explain(
    error: ValidationError,
    value: bytes,
    noun: str,
    types: Sequence[str] = (),
    topics: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the reasons why a value is invalid, each with its field's name on the wire.

    `noun` stands for the value itself, `types` are the possible values of its field `type`
    (none without such a field), and `topics` has the topic of each type.
    """
    if not value:
        return f"{noun} is empty"
    if error.error_count() > _MAX_LISTED:  # to list them takes long
        return f"{error.error_count()} fields are invalid"
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return f"{noun} is not JSON: {_syntax(found[0], value)}"
    # Pydantic stops reading a list at its first invalid line, then reports too_short.
    cut = {error["loc"][:-1] for error in found} | {e["loc"][:-2] for e in found}
    errors = [e for e in found if e["type"] != "too_short" or e["loc"] not in cut]
    reasons = [_reason(e, noun, types, topics) for e in errors[:_MAX_NAMED]]
    while len(text := "; ".join(reasons)) > _MAX_CHARS and len(reasons) > 1:
        reasons.pop()
    more = len(errors) - len(reasons)
    return f"{text}; and {more} more" if more else text


def _syntax(error: ErrorDetails, value: bytes) -> str:
    for mark, meaning in _ENCODINGS.items():
        if value.startswith(mark):
            return meaning
    text: str = error["ctx"]["error"]
    problem, at, position = text.partition(" at line ")
    return f"{_SYNTAX.get(problem, problem)}{at}{position}"


def _reason(
    error: ErrorDetails, noun: str, types: Sequence[str], topics: Mapping[str, str]
) -> str:
    steps, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if steps and steps[0] in types:
        steps = steps[1:]  # without pydantic's name of the contract
    path = ".".join(map(str, steps))[:_MAX_NAME_CHARS]
    choice = f"it must be one of {', '.join(types)}"
    if kind in ("union_tag_not_found", MISSING) and path in ("", "type"):
        return f"type is missing; {choice}"
    if kind == "union_tag_invalid":
        name = context["tag"]
        topic = topics.get(name)
        problem = f"is a type of {topic}, not of this topic" if topic else "is unknown"
        return f"type: {name[:_MAX_NAME_CHARS]} {problem}; {choice}"
    if path == "type" and not types:
        return TYPE_IS_NO_FIELD
    if kind in _REASONS:
        return f"{path or noun} {_REASONS[kind].format(**context)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path or noun}: {message[:1].lower()}{message[1:]}"
