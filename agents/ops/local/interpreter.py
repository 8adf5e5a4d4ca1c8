"""The Python versions on which the shop runs.

    python agents/ops/local/interpreter.py

The program exits with 1 and the reason on another version, so those must parse this file.
"""

import sys

OLDEST = (3, 11)
NEWEST = (3, 14)


def unsupported() -> str:
    """Return why this Python can't run the shop; empty on a supported version."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return ""
    return (
        f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed, and {sys.executable} is"
        f" {sys.version.split()[0]}: make PYTHON=/path/to/python3.{NEWEST[1]} …"
    )


if __name__ == "__main__":
    sys.exit(unsupported() or 0)
