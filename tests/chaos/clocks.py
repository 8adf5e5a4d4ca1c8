"""A worker whose wall clock can be stepped while it runs; its monotonic clock can't."""

from pathlib import Path

import libfaketime

_LIBRARY = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"


def stepped(file: Path) -> dict[str, str]:
    """Return the environment of a process with the clock offset of a file."""
    step(file, 0)
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until the file is read again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def step(file: Path, seconds: int) -> None:
    """Set the clock offset in seconds from now on."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.replace(file)
