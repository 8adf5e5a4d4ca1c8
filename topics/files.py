"""The limit of open files: each connection and each table file is one."""

import resource
from contextlib import suppress

_UNLIMITED = 2**20
"""The default maximum of Linux."""


def raise_file_limit() -> None:
    """Raise the soft limit to the hard limit, as Java does at its start.

    The usual soft limit of 1024 is for programs that use `select`; ours do not.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS refuses a limit above its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def file_limit() -> int:
    """Return the number of files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
