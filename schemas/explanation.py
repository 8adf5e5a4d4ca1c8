"""Explains why a value is not a valid message, with the names of the wire."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.contract import MAX_LINES

_MAX_LISTED = 1000
_MAX_NAMED = 10
_MAX_NAME_CHARS = 100
_MAX_CHARS = 600

TYPE_IS_NO_FIELD = "type is not a field of this call: the path selects the call"

_REASONS = {
    "missing": "is missing",
    "duplicate_field": "is given more than once",
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
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_ENCODINGS = (
    (
        b"\xef\xbb\xbf",
        "it begins with a byte order mark (EF BB BF), which must be left out",
    ),
    (b"\x1f\x8b", "it is compressed (gzip); compression is not supported"),
    (b"\xff\xfe", "it is UTF-16 or UTF-32; JSON must be UTF-8"),
    (b"\xfe\xff", "it is UTF-16; JSON must be UTF-8"),
    (b"{\0", "it is UTF-16 or UTF-32; JSON must be UTF-8"),
    (b"\0{", "it is UTF-16; JSON must be UTF-8"),
    (b"\0", "it begins with a zero byte, as written by a schema registry's serializer"),
)
_SYNTAX = {
    "recursion limit exceeded": "arrays or objects are nested too deep",
    "number out of range": "a number has too many digits",
    "invalid unicode code point": "a character is not UTF-8",
    "trailing characters": "more characters follow the JSON value",
    "unexpected end of hex escape": "an escaped character is half a surrogate pair",
}


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
    # Pydantic stops reading a list at its first invalid line, then reports too_short.
    cut = {error["loc"][:-1] for error in found} | {e["loc"][:-2] for e in found}
    errors = [e for e in found if e["type"] != "too_short" or e["loc"] not in cut]
    reasons = [_reason(e, value, noun, types, topics) for e in errors[:_MAX_NAMED]]
    return _joined(reasons, len(errors))


def _reason(
    error: ErrorDetails,
    value: bytes,
    noun: str,
    types: Sequence[str],
    topics: Mapping[str, str],
) -> str:
    steps = error["loc"]
    if steps and steps[0] in types:
        steps = steps[1:]  # without pydantic's name of the contract
    path = ".".join(map(str, steps))[:_MAX_NAME_CHARS]
    choice = f"it must be one of {', '.join(types)}"
    match error["type"]:
        case "json_invalid":
            return f"{noun} is not JSON: {_syntax(error, value)}"
        case "union_tag_not_found" | "missing" if path in ("", "type"):
            return f"type is missing; {choice}"
        case "union_tag_invalid":
            name = error["ctx"]["tag"]
            topic = topics.get(name)
            problem = f"is a type of {topic}, not of this topic" if topic else "is unknown"
            return f"type: {name[:_MAX_NAME_CHARS]} {problem}; {choice}"
        case _ if path == "type" and not types:
            return TYPE_IS_NO_FIELD
    return f"{path or noun}{_problem(error)}"


def _joined(reasons: list[str], count: int) -> str:
    while len(text := "; ".join(reasons)) > _MAX_CHARS and len(reasons) > 1:
        reasons.pop()
    more = count - len(reasons)
    return f"{text}; and {more} more" if more else text


def _syntax(error: ErrorDetails, value: bytes) -> str:
    for mark, meaning in _ENCODINGS:
        if value.startswith(mark):
            return meaning
    text: str = error["ctx"]["error"]
    problem, at, position = text.partition(" at line ")
    return f"{_SYNTAX.get(problem, problem)}{at}{position}"


def _problem(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _REASONS:
        return f" {_REASONS[kind]}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f" must be {words} {context[limit]}"
    if kind in ("literal_error", "enum"):
        return f" must be {context['expected']}"
    message = error["msg"].removeprefix("Value error, ")
    return f": {message[:1].lower()}{message[1:]}"
