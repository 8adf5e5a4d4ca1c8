"""Run one worker of a service, or a tool of whoever runs the shop.

    python -m agents checkout|loms|products|notifications
    python -m agents dlq list|show|replay …     look at dead letters, send them again
    python -m agents stock load …               put goods into warehouses
    python -m agents forget USER …              erase a user, and say what remains
    python -m agents ui …                       show Kafka to a browser

A worker reads its cluster from the environment (`KAFKA`, …). A tool works on the shop that
runs in this directory, else on the cluster of `KAFKA`. `--help` behind a tool tells more.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TypeVar

import uvloop
from pydantic import ValidationError

from agents.runtime import metrics
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from topics.files import raise_file_limit
from topics.kafka.settings import format_settings_errors
from topics.telemetry import logging as logs
from topics.telemetry import tracing
from topics.topology import SERVICES

log = logging.getLogger("agents")

T = TypeVar("T")

TOOLS = {
    "dlq": "agents.ops.dlq",
    "stock": "agents.ops.stock",
    "forget": "agents.ops.erase_user",
    "ui": "agents.ops.ui",
    "status": "agents.ops.status",
}


def main() -> None:
    """Run until SIGTERM (exit 0), or until nothing is sure any more (exit 70).

    Exits with 2 when its settings make no sense. A tool has exit codes of its own.
    """
    raise_file_limit()
    name, *words = sys.argv[1:] or [""]
    if name in TOOLS:
        sys.exit(import_module(TOOLS[name]).main(words))
    service = _parser().parse_args().service
    logs.configure(service)
    tracing.start(service)
    asyncio.set_event_loop(uvloop.new_event_loop())  # mode takes the current loop
    build: Callable[[WorkerSettings], Service] = import_module(
        f"agents.{service}.service"
    ).build
    log.info("event=starting service=%s", service)
    settings = _with_sound_settings(WorkerSettings)
    try:
        lock = settings.lock_state_dir()
    except BlockingIOError:
        sys.exit(f"another worker runs in {settings.state_dir}")
    metrics.serve(settings.metrics_port, settings.metrics_host)
    with lock:
        _with_sound_settings(partial(build, settings)).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "service", choices=[*(service.name for service in SERVICES), *TOOLS]
    )
    return parser


def _with_sound_settings(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValidationError as wrong:
        for line in format_settings_errors(wrong):
            log.critical(line)
        sys.exit(2)


if __name__ == "__main__":
    main()
