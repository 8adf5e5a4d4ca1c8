"""Clients that write and ask while topics are repartitioned."""

import asyncio
from contextlib import suppress
from typing import Self

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from tests.e2e.clients import HttpClient
from tests.e2e.repartitioned import RepartitionedShop, receipt
from tests.e2e.waiting import until

_RETRY_SECONDS = 0.1

_PAUSE_SECONDS = 0.005


class Writing:
    """A client that writes unkeyed receipts all the time, and one that asks a gateway.

    Attributes:
        acknowledged: units of acknowledged requests.
        unknown: units of those that may be stored or not.
        statuses: of the gateway's responses.
    """

    def __init__(self, shop: RepartitionedShop, http: HttpClient, sku: int) -> None:
        self.acknowledged = self.unknown = 0
        self.statuses: set[int] = set()
        self._shop = shop
        self._http = http
        self._sku = sku

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(each()) for each in (self._write, self._ask)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled():
                task.result()

    async def goes_on(self) -> None:
        """Wait until further requests are acknowledged."""
        until_now = self.acknowledged
        await until(lambda: self.acknowledged > until_now + 5, "further requests")

    async def _write(self) -> None:
        record = receipt(self._sku, 1)
        while True:
            options = self._shop.cluster.client_options()
            producer = AIOKafkaProducer(**options, acks="all", request_timeout_ms=3000)
            try:
                await producer.start()
                while True:
                    self.unknown += 1
                    await producer.send_and_wait(record.topic, record.value)
                    self.unknown -= 1
                    self.acknowledged += 1
                    await asyncio.sleep(_PAUSE_SECONDS)
            except MessageSizeTooLargeError:
                self.unknown -= 1
            except KafkaError:
                await asyncio.sleep(_RETRY_SECONDS)
            finally:
                with suppress(KafkaError):
                    await producer.stop()

    async def _ask(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with (
                    asyncio.timeout(1),
                    self._http.session.post(
                        f"{self._http.url}/stocks", json={"sku": self._sku}
                    ) as response,
                ):
                    self.statuses.add(response.status)
                    assert response.status != 503 or response.headers["Retry-After"]
