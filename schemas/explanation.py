"""Explains why a value is not a valid message, with the names of the wire."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.contract import MAX_LINES

MAX_LISTED = 1000
MAX_NAMED = 10
MAX_NAME_CHARS = 100
MAX_CHARS = 600

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


class Explanation:
    """Explains the errors of one kind of value.

    Args:
        whole: the noun for the value itself.
        types: the possible values of its field `type`; empty without such a field.
        topics: the topic of each type.
    """

    def __init__(
        self, whole: str, types: Sequence[str] = (), topics: Mapping[str, str] | None = None
    ) -> None:
        self._whole = whole
        self._types = types
        self._topics = topics or {}

    def explain(self, error: ValidationError, value: bytes) -> str:
        """Return the reasons, each with the name of its field on the wire."""
        if not value:
            return f"{self._whole} is empty"
        if error.error_count() > MAX_LISTED:  # to list them takes long
            return f"{error.error_count()} fields are invalid"
        found = error.errors(include_url=False, include_input=False)
        # Pydantic stops reading a list at its first invalid line, then reports too_short.
        cut = {error["loc"][:-1] for error in found} | {e["loc"][:-2] for e in found}
        errors = [e for e in found if e["type"] != "too_short" or e["loc"] not in cut]
        return _joined([self._reason(e, value) for e in errors[:MAX_NAMED]], len(errors))

    def _reason(self, error: ErrorDetails, value: bytes) -> str:
        path, kind = self._path(error), error["type"]
        match kind:
            case "json_invalid":
                return f"{self._whole} is not JSON: {_syntax(error, value)}"
            case "union_tag_not_found" | "missing" if path in ("", "type"):
                return f"type is missing; {self._choice()}"
            case "union_tag_invalid":
                return self._unknown_type(error["ctx"]["tag"])
            case _ if path == "type" and not self._types:
                return TYPE_IS_NO_FIELD
        return f"{path or self._whole}{_problem(error)}"

    def _path(self, error: ErrorDetails) -> str:
        path = error["loc"]
        if path and path[0] in self._types:
            path = path[1:]  # pydantic's name of the contract
        return ".".join(map(str, path))[:MAX_NAME_CHARS]

    def _choice(self) -> str:
        return f"it must be one of {', '.join(self._types)}"

    def _unknown_type(self, name: str) -> str:
        topic = self._topics.get(name)
        problem = f"is a type of {topic}, not of this topic" if topic else "is unknown"
        return f"type: {name[:MAX_NAME_CHARS]} {problem}; {self._choice()}"


def _joined(reasons: list[str], count: int) -> str:
    text = "; ".join(reasons)
    while len(text) > MAX_CHARS and len(reasons) > 1:
        reasons = reasons[:-1]
        text = "; ".join(reasons)
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
