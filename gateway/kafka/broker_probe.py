"""Whether Kafka can be reached, known before anything is sent there."""

import asyncio
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
    """Asks a broker for a sign of life, over and over.

    A connection of its own, since on those of producers and consumers requests queue up
    behind each other. When it fails, any other broker may answer instead.

    Attributes:
        beats: whether the last question was answered.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options | {
            "client_id": "gateway-pulse",
            "request_timeout_ms": TIMEOUT // timedelta(milliseconds=1),
        }
        self.healthy = False
        self._since = 0.0

    def healthy_for(self, time: timedelta) -> bool:
        """Say whether it has been beating for all that time."""
        return self.healthy and monotonic() - self._since > time.total_seconds()

    async def run(self) -> None:
        """Keep asking until cancelled.

        Raises:
            NotLetInError: at the first contact; later on, whoever rotates passwords is
                awaited.
        """
        while True:
            client = AIOKafkaClient(**self._options)
            try:
                await client.bootstrap()
                self._update(beats=True)
                await _ask_until_it_fails(client)
            except (KafkaError, TimeoutError):
                self._update(beats=False)
                if not self._since and (refused := await find_auth_error(self._options)):
                    raise refused from None
                await asyncio.sleep(INTERVAL.total_seconds())
            finally:
                await client.close()

    def _update(self, *, beats: bool) -> None:
        if beats != self.healthy:
            self._since = monotonic()
        self.healthy = beats


async def _ask_until_it_fails(client: AIOKafkaClient) -> None:
    while True:
        await asyncio.sleep(INTERVAL.total_seconds())
        try:
            await client.send(client.get_random_node(), MetadataRequest([]))
        except (KafkaError, TimeoutError):
            return
