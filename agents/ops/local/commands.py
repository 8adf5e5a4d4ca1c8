"""Commands for a shop of processes, in the virtual environment."""

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

# All files that a shop writes; RUN_DIR may have other files.
_SHOP_FILES = ("kafka", "state", "logs", "marks", "lock", "supervisord.*", "shop.json")


def up(_directory: Path) -> None:
    """Start the shop, unless it runs."""
    native.up()


def scale(directory: Path) -> None:
    """Change the numbers of processes, and print them."""
    native.scale()
    ps(directory)


def down(directory: Path) -> None:
    """Stop all processes, and keep their state."""
    echo("stopped" if native.down(directory) else "nothing runs")


def clean(directory: Path) -> None:
    """Stop all processes, and delete their state."""
    native.down(directory)
    for path in (found for pattern in _SHOP_FILES for found in directory.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if directory.exists() and not any(directory.iterdir()):
        directory.rmdir()


def ps(directory: Path) -> None:
    """Print each process: name, id, state."""
    native.require_running(directory)
    for status in Supervisor(directory).statuses():
        echo(f"{status.name} {status.pid or '-'} {status.state}")


def logs(directory: Path) -> None:
    """Follow the logs of all processes."""
    files = sorted(str(file) for file in (directory / "logs").glob("*.log"))
    if not files:
        raise ShopError("there are no logs: make run-all")
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606, S607


def demo(directory: Path) -> None:
    """Run the demo on the shop that runs here, else on that of `KAFKA`."""
    running, configured = running_shop(directory), from_environment()
    saved = load(running.directory) if running else None
    if saved is None and not configured.kafka:
        raise ShopError("the shop does not run: make run-all")
    asyncio.run(walk_through(saved[0] if saved else configured))


def ui(_directory: Path) -> None:
    """Show Kafka in a browser until Ctrl-C."""
    port = str(from_environment().kafka_ui_port)
    arguments = [sys.executable, "-m", "agents", "ui", "--port", port]
    os.execv(arguments[0], arguments)  # noqa: S606


def audit(directory: Path) -> None:
    """Compare the shop with its logs; exit with the code of the audit."""
    sys.exit(local_audit.audit(directory))


_COMMANDS = (up, scale, down, clean, ps, logs, demo, ui, audit)


def main() -> int:
    """Run the command; return 1 after an error, with the reason on standard error."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    configure_tool()
    commands = {command.__name__: command for command in _COMMANDS}
    try:
        commands[sys.argv[1]](from_environment().directory)
    except ShopError as reason:
        echo_error(f"shop: {reason}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
