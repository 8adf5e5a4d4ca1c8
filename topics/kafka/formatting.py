"""Formats bytes and times of records for people."""

from datetime import UTC, datetime


def format_timestamp(milliseconds: int) -> str:
    """Return the time of a record as text."""
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def escape(value: bytes | None) -> str:
    """Return a key or a header's value: as text if possible, else in hexadecimal."""
    if value is None:
        return "null"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None or not text.isprintable() else text


def decoded(value: bytes) -> str | None:
    """Return bytes as text; None if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
