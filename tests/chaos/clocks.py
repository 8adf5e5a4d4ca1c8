"""A worker whose wall clock can be stepped while it runs; its monotonic one goes on."""

from pathlib import Path

import libfaketime

_LIBRARY = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"


def stepped(file: Path) -> dict[str, str]:
    """Return the environment of a process whose clock is off by what a file says."""
    step(file, 0)
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until it looks again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def step(file: Path, seconds: int) -> None:
    """Have the clock be off by so many seconds from now on."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.replace(file)
