"""Progress on standard output."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step at its begin, and its duration at its end."""
    began = time.monotonic()
    echo(f"  {name} … ", newline=False)
    try:
        yield
    except BaseException:
        echo("failed")
        raise
    echo(f"{time.monotonic() - began:.1f} s")


def echo(text: str, *, newline: bool = True) -> None:
    """Print text, unless the pipe is closed: `| head` must not stop the shop."""
    with suppress(BrokenPipeError):
        click.echo(text, nl=newline)
