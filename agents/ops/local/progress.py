"""Progress on standard output: a line for each step, with its duration."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step at its begin, and its duration at its end."""
    began = time.monotonic()
    _print(f"  {name} … ")
    try:
        yield
    except BaseException:
        _print("failed\n")
        raise
    _print(f"{time.monotonic() - began:.1f} s\n")


def echo(line: str = "") -> None:
    """Print a line."""
    _print(f"{line}\n")


def echo_error(line: str) -> None:
    """Print an error line to standard error."""
    sys.stderr.write(f"{line}\n")


def _print(text: str) -> None:
    # `| head` closes the pipe, which must not stop the shop.
    with suppress(BrokenPipeError):
        sys.stdout.write(text)
        sys.stdout.flush()
