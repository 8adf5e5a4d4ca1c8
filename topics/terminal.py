"""Questions to the person at the terminal, for programs that write."""

import sys


def is_attended() -> bool:
    """Return whether a person can answer: standard input is a terminal."""
    return bool(sys.stdin and sys.stdin.isatty())


def ask(question: str) -> bool:
    """Ask the person at the terminal; no answer is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
