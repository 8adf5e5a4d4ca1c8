"""What a waiting person sees: a line for each step, and how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def step(what: str) -> Iterator[None]:
    """Name a step when it begins, and its time when it is done."""
    began = time.monotonic()
    _say(f"  {what} … ")
    try:
        yield
    except BaseException:
        _say("failed\n")
        raise
    _say(f"{time.monotonic() - began:.1f} s\n")


def echo(line: str = "") -> None:
    """Say a line."""
    _say(f"{line}\n")


def echo_error(line: str) -> None:
    """Say on standard error why something can't be."""
    sys.stderr.write(f"{line}\n")


def _say(text: str) -> None:
    # Whoever looks at the first lines only (`| head`) must not stop the shop by it.
    with suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()
