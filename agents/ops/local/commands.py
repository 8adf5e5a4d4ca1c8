"""The commands for a shop of processes, in the virtual environment."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

from agents.ops.local import audit as local_audit
from agents.ops.local import native
from agents.ops.local.demo import walk_through
from agents.ops.local.deployment import ShopError, from_environment, load
from agents.ops.local.progress import echo, echo_error
from agents.ops.local.supervision import Supervisor
from topics.running_shop import running_shop
from topics.telemetry.logging import configure_tool

# All that a shop ever writes into its directory; RUN_DIR may be shared with other things.
_OURS = ("kafka", "state", "logs", "marks", "lock", "supervisord.*", "shop.json")


def up(_directory: Path) -> None:
    """Start the shop, or make sure that it runs."""
    native.up()


def scale(directory: Path) -> None:
    """Change the numbers of processes, and show what runs now."""
    native.scale()
    ps(directory)


def down(directory: Path) -> None:
    """Stop everything; state is kept."""
    echo("stopped" if native.down(directory) else "nothing runs")


def clean(directory: Path) -> None:
    """Stop everything and forget all state."""
    native.down(directory)
    for one in (found for pattern in _OURS for found in directory.glob(pattern)):
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    if directory.exists() and not any(directory.iterdir()):
        directory.rmdir()


def ps(directory: Path) -> None:
    """Show each process: name, id, state."""
    native.require_running(directory)
    for status in Supervisor(directory).statuses():
        echo(f"{status.name} {status.pid or '-'} {status.state}")


def logs(directory: Path) -> None:
    """Follow what all processes say."""
    files = sorted(str(file) for file in (directory / "logs").glob("*.log"))
    if not files:
        raise ShopError("there are no logs: make run-all")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606, S607


def demo(directory: Path) -> None:
    """Walk through the whole story: in the shop that runs here, else at `KAFKA`."""
    running, given = running_shop(directory), from_environment()
    saved = load(running.directory) if running else None
    if saved is None and not given.kafka:
        raise ShopError("the shop does not run: make run-all")
    asyncio.run(walk_through(saved[0] if saved else given))


def ui(_directory: Path) -> None:
    """Show Kafka to a browser, until somebody ends it."""
    port = str(from_environment().kafka_ui_port)
    words = [sys.executable, "-m", "agents", "ui", "--port", port]
    os.execv(words[0], words)  # noqa: S606


def audit(directory: Path) -> None:
    """Fold the logs anew and compare with all that was kept; exit as the audit does."""
    sys.exit(local_audit.audit(directory))


_COMMANDS = (up, scale, down, clean, ps, logs, demo, ui, audit)


def main() -> int:
    """Do what the command line says; 1 and the reason when that can't be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    configure_tool()
    command = {one.__name__: one for one in _COMMANDS}
    try:
        command[sys.argv[1]](from_environment().directory)
    except ShopError as reason:
        echo_error(f"shop: {reason}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
