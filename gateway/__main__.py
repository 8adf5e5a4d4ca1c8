"""Run a gateway: `python -m gateway`, told by the environment what it needs."""

import asyncio
import gc
import logging
import signal
import sys

import uvloop
from pydantic import ValidationError

from gateway import logs
from gateway.app import Gateway
from gateway.body import Intake
from gateway.bus import Bus
from gateway.correlator import Correlator
from gateway.pages import pages
from gateway.server import serving
from gateway.settings import Settings
from topics import tracing
from topics.cluster import Cluster, bad_settings
from topics.connection import NotLetInError

log = logging.getLogger("gateway")


async def run(settings: Settings, cluster: Cluster) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    patience = settings.patience
    correlator = Correlator(settings.max_in_flight, patience)
    bus = Bus(cluster.client_options(), settings.gateway_index, correlator)
    gateway = Gateway(bus, Intake(settings.max_in_flight, patience), pages(cluster))
    async with asyncio.TaskGroup() as group:
        connected = group.create_task(bus.run())
        async with serving(gateway, settings):
            await stop.wait()
        connected.cancel()
    log.info("event=stopped")


def main() -> int:
    """Read the settings and run; what can't be is said in one line."""
    logs.configure()
    tracing.start("gateway")
    try:
        settings, cluster = Settings(), Cluster()
    except ValidationError as wrong:
        for line in bad_settings(wrong):
            log.critical(line)
        return 2
    status = 0
    gc.freeze()  # what is there by now stays: no collection need look at it again
    try:
        uvloop.run(run(settings, cluster))
    except* (OSError, NotLetInError) as errors:
        log.critical("event=cannot-serve error=%r", str(_first(errors)))
        status = 1
    return status


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
