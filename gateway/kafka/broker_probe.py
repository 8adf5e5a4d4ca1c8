"""Probes Kafka, so that unavailability is noticed before a request is sent."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka.connection import find_auth_error

INTERVAL = timedelta(milliseconds=200)
TIMEOUT = timedelta(milliseconds=1500)


class BrokerProbe:
    """Sends metadata requests to a broker, at intervals.

    It has its own connection, since requests queue up on those of producers and
    consumers. After a failure it connects to any broker.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options | {
            "client_id": "gateway-probe",
            "request_timeout_ms": TIMEOUT // timedelta(milliseconds=1),
        }
        self.healthy = False
        self._since = 0.0

    def healthy_for(self, time: timedelta) -> bool:
        """Return whether the probe has been healthy for a time."""
        return self.healthy and monotonic() - self._since > time.total_seconds()

    async def run(self) -> None:
        """Probe until cancelled.

        Raises:
            KafkaAuthenticationError: before the first success only. Later the probe
                retries, since an operator may be rotating passwords.
        """
        while True:
            client = AIOKafkaClient(**self._options)
            try:
                await client.bootstrap()
                self._update(healthy=True)
                await _probe_until_failure(client)
            except (KafkaError, TimeoutError):
                self._update(healthy=False)
                if not self._since and (error := await find_auth_error(self._options)):
                    raise error from None
                await asyncio.sleep(INTERVAL.total_seconds())
            finally:
                await client.close()

    def _update(self, *, healthy: bool) -> None:
        if healthy != self.healthy:
            self._since = monotonic()
        self.healthy = healthy


async def _probe_until_failure(client: AIOKafkaClient) -> None:
    with suppress(KafkaError, TimeoutError):
        while True:
            await asyncio.sleep(INTERVAL.total_seconds())
            await client.send(client.get_random_node(), MetadataRequest([]))
