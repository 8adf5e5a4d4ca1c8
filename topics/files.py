"""How many files a process may have open: each connection and each table file is one."""

import resource

_UNLIMITED = 2**20
"""Linux itself gives a process no more."""


def raise_file_limit() -> None:
    """Raise the soft limit to the hard limit, as Java does at its start.

    The usual soft limit of 1024 is for programs that use `select`, and none of ours does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS refuses a limit above its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def file_limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft
