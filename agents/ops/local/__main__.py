"""What `make` runs: python -m agents.ops.local up|down|ps|scale|logs|clean|demo|ui|audit.

Needs Python alone: it picks the way (containers where there is a Docker engine, else
processes), makes the virtual environment where that way needs one, and hands over.
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
    """Do what is asked; 1 and the reason on standard error when that can't be."""
    # As an exception, so that what was begun is undone.
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
    words = [str(PYTHON), "-m", "agents.ops.local.commands", command]
    os.execv(words[0], words)  # noqa: S606


def _prepare(shop: Deployment, *, starting: bool) -> None:
    if not starting or PYTHON.exists():
        ensure()
        return
    with _kafka_coming_meanwhile(shop), step("Python packages, for the first time"):
        ensure()


@contextmanager
def _kafka_coming_meanwhile(shop: Deployment) -> Iterator[None]:
    """Fetch Kafka's jars in the background; who needs them waits, and hears of errors."""
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
