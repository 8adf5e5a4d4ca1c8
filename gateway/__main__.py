"""Run a gateway: `python -m gateway`, told by the environment what it needs."""

import asyncio
import logging
import signal
import sys

import uvloop
from pydantic import ValidationError

from gateway.app import Gateway
from gateway.body import Intake
from gateway.bus import Bus
from gateway.correlator import Correlator
from gateway.server import serving
from gateway.settings import Settings
from topics.cluster import Cluster


async def run(settings: Settings, cluster: Cluster) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    patience = settings.patience
    correlator = Correlator(settings.max_in_flight, patience)
    bus = Bus(cluster.client_options(), settings.gateway_index, correlator)
    gateway = Gateway(bus, Intake(settings.max_in_flight, patience))
    async with asyncio.TaskGroup() as group:
        connected = group.create_task(bus.run())
        async with serving(gateway, settings.gateway_host, settings.gateway_port, patience):
            await stop.wait()
        connected.cancel()


def main() -> int:
    """Read the settings and run."""
    logging.basicConfig(
        level=logging.INFO,
        format="time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s",
    )
    try:
        settings, cluster = Settings(), Cluster()
    except ValidationError as wrong:
        logging.getLogger(__name__).error("event=bad-settings error=%s", wrong)  # noqa: TRY400
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, cluster))
    return 0


if __name__ == "__main__":
    sys.exit(main())
