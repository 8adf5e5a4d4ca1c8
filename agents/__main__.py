"""Run one worker of a service, or a tool for operators.

    python -m agents checkout|loms|products|notifications
    python -m agents dlq|stock|forget|ui|audit|status …

A worker reads its cluster from the environment (`KAFKA`, …). A tool works on the shop that
runs in this directory, else on the cluster of `KAFKA`. Each tool has its own `--help`.
"""

import asyncio
import logging
import sys
from functools import partial
from importlib import import_module

import click
import uvloop
from pydantic import ValidationError

from agents.runtime import metrics
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from topics.cli import HELP, MISUSED, paragraphs, raise_file_limit
from topics.kafka.settings import format_settings_errors
from topics.telemetry import logging as logs
from topics.telemetry import tracing
from topics.topology import SERVICES

log = logging.getLogger("agents")

_TOOLS = {
    "dlq": "agents.ops.dlq",
    "stock": "agents.ops.stock",
    "forget": "agents.ops.erase_user",
    "ui": "topics.ui",
    "audit": "agents.ops.audit.__main__",
    "status": "agents.ops.status",
}
"""Modules of tools. A worker imports none of them."""


class _Commands(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [*(service.name for service in SERVICES), *_TOOLS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _TOOLS:
            tool: click.Command = getattr(import_module(_TOOLS[cmd_name]), cmd_name)
            return tool
        if cmd_name not in self.list_commands(ctx):
            return None
        run = partial(_run_worker, cmd_name)
        return click.Command(cmd_name, callback=run, help=f"Run a worker of {cmd_name}.")


def _run_worker(service: str) -> None:
    """Run until SIGTERM (exit 0) or a fail-stop (70); exit with 2 for wrong settings."""
    logs.configure(service)
    tracing.start(service)
    asyncio.set_event_loop(uvloop.new_event_loop())  # mode takes the current loop
    module = import_module(f"agents.{service}.service")
    log.info("event=starting service=%s", service)
    try:
        settings = WorkerSettings()
        lock = settings.lock_state_dir()
        metrics.serve(settings.metrics_port, settings.metrics_host)
        worker: Service = module.build(settings)
    except ValidationError as error:
        for line in format_settings_errors(error):
            log.critical(line)
        sys.exit(MISUSED)
    except BlockingIOError:
        sys.exit(f"another worker runs in {settings.state_dir}")
    with lock:
        worker.run()


def main() -> None:
    """Run the command of the command line."""
    raise_file_limit()
    commands = _Commands(help=paragraphs(__doc__), context_settings=HELP)
    commands.main(prog_name="python -m agents")


if __name__ == "__main__":
    main()
