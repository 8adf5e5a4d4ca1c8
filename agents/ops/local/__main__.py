"""What `make` runs: python -m agents.ops.local up|down|ps|scale|logs|clean|demo|ui|audit.

This module needs Python alone. It runs containers where there is a Docker engine. Else it
makes the virtual environment, and runs processes from there.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from agents.ops.local import compose
from agents.ops.local.deployment import REPOSITORY, Deployment, ShopError, from_environment
from agents.ops.local.environment import PYTHON, ensure
from agents.ops.local.progress import echo_error, step

COMMANDS = ("up", "down", "ps", "scale", "logs", "clean", "demo", "ui", "audit")


def main() -> int:
    """Run the command; return 1 after an error, with the reason on standard error."""
    # An exception undoes a half-finished start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    command = sys.argv[1] if sys.argv[1:] else ""
    if command not in COMMANDS:
        echo_error(f"python -m agents.ops.local {'|'.join(COMMANDS)}")
        return 2
    try:
        shop = from_environment()
        if command in compose.COMMANDS and _in_containers(shop, command):
            compose.COMMANDS[command](shop)
            return 0
        _prepare(shop, starting=command == "up")
        _hand_over(command)
    except ShopError as reason:
        echo_error(f"shop: {reason}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _in_containers(shop: Deployment, command: str) -> bool:
    return compose.is_running(shop) or (command == "up" and compose.is_chosen())


def _hand_over(command: str) -> None:
    arguments = [str(PYTHON), "-m", "agents.ops.local.commands", command]
    os.execv(arguments[0], arguments)  # noqa: S606


def _prepare(shop: Deployment, *, starting: bool) -> None:
    if not starting or PYTHON.exists():
        ensure()
        return
    with _kafka_fetched_meanwhile(shop), step("Python packages, for the first time"):
        ensure()


@contextmanager
def _kafka_fetched_meanwhile(shop: Deployment) -> Iterator[None]:
    """Fetch the jars of Kafka in the background; a later step waits, and reports errors."""
    if shop.kafka:
        yield
        return
    fetch = [sys.executable, "-m", "topics.broker", "fetch"]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(fetch, cwd=REPOSITORY, stdout=quiet, stderr=quiet)
    try:
        yield
    except BaseException:
        child.terminate()
        raise


if __name__ == "__main__":
    sys.exit(main())
