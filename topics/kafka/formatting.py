"""Bytes and times of records, as people read them."""

from datetime import UTC, datetime


def format_timestamp(milliseconds: int) -> str:
    """Write the time of a record."""
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def escape(value: bytes | None) -> str:
    """Write a key or a header's value: as text, if it is one."""
    if value is None:
        return "null"
    text = decoded(value)
    return f"0x{value.hex()}" if text is None or not text.isprintable() else text


def decoded(value: bytes) -> str | None:
    """Return the text that bytes are; None where they are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
