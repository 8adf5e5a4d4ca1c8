"""The classes of table rows, and their JSON.

Rows never meet a client, so they are structs of msgspec: it reads, writes and builds them
in a quarter of pydantic's time.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import msgspec
from pydantic import BaseModel


class TableRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a table, or a part of one.

    Attributes:
        old_names: current names by those in rows of older releases.
    """

    old_names: ClassVar[Mapping[str, str]] = {}


class RowSerde:
    """Serializes the rows of a class, or of one of several classes.

    Args:
        rows: the class, or the union of classes.
    """

    def __init__(self, rows: Any) -> None:  # noqa: ANN401 -- a class, or a union
        self._classes: tuple[type[TableRow], ...] = get_args(rows) or (rows,)
        self._decoders = [
            msgspec.json.Decoder(row, dec_hook=_validate) for row in self._classes
        ]

    def serialize(self, row: TableRow) -> bytes:
        """Return a row's JSON."""
        return _ENCODER.encode(row)

    def deserialize(self, value: bytes) -> Any:  # noqa: ANN401 -- one of the classes
        """Return the row of a JSON, without the fields that this release does not know.

        Raises:
            msgspec.DecodeError: it is none.
        """
        row, _ = self.deserialize_all(value)
        return row

    def deserialize_all(self, value: bytes) -> tuple[Any, Mapping[str, Any]]:
        """Return the row, and the fields of a newer release that the JSON has besides.

        Raises:
            msgspec.DecodeError: it is none.
        """
        for decoder in self._decoders:
            try:
                return decoder.decode(value), {}
            except msgspec.ValidationError:
                continue
        return self._translate(msgspec.json.decode(value))

    def _translate(self, fields: dict[str, Any]) -> tuple[TableRow, Mapping[str, Any]]:
        """Return the row of another release, and its unknown fields."""
        for row in self._classes:
            known = {*row.__struct_fields__, *row.old_names}
            try:
                translated = msgspec.convert(
                    _current(fields, row), row, str_keys=True, dec_hook=_validate
                )
            except msgspec.ValidationError as error:
                invalid = error
            else:
                return translated, {n: v for n, v in fields.items() if n not in known}
        raise invalid


def _current(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- JSON and its type
    """Return JSON with current names, without unknown fields, in a row and its parts."""
    if isinstance(kind, type) and issubclass(kind, TableRow) and isinstance(value, dict):
        types = {field.name: field.type for field in msgspec.structs.fields(kind)}
        named = {kind.old_names.get(name, name): part for name, part in value.items()}
        return {n: _current(part, types[n]) for n, part in named.items() if n in types}
    if isinstance(value, list) and get_args(kind):
        return [_current(part, get_args(kind)[0]) for part in value]
    return value


def _validate(kind: type[BaseModel], value: Any) -> BaseModel:  # noqa: ANN401 -- JSON
    """Read a message within a row."""
    return kind.model_validate(value)


def _dump(message: BaseModel) -> dict[str, Any]:
    """Write a message within a row."""
    return message.model_dump(mode="json")


_ENCODER = msgspec.json.Encoder(enc_hook=_dump)
