"""The two clients whose queries measure a shop: of its gateways, and of its topics."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

from aiokafka.errors import KafkaError

from tests.e2e.clients import Answer, HttpClient, NoAnswer, ShopClient, answer_of, as_record
from topics.kafka.request_reply import RequestReplyClient

_REPLY_SECONDS = 60.0


class BalancedClient(ShopClient):
    """Sends requests to the gateways in turn; one that fails goes to the next gateway."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._gateways = [HttpClient(url) for url in urls]
        self._turns = count()

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send a request once, if a gateway takes it."""
        turn = next(self._turns) % len(self._gateways)
        *others, last = self._gateways[turn:] + self._gateways[:turn]
        for gateway in others:
            try:
                return await gateway.ask(call, body, key)
            except NoAnswer:
                continue
        return await last.ask(call, body, key)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(gateway.close() for gateway in self._gateways))


class TopicClient(ShopClient):
    """Sends requests to the request topics, and reads nothing but their replies."""

    def __init__(self, client: RequestReplyClient) -> None:
        self._client = client

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send one record and wait for its reply."""
        try:
            async with (
                asyncio.timeout(_REPLY_SECONDS),
                self._client.request(as_record(call, body, key)) as (_, pending),
            ):
                return answer_of(await pending.reply)
        except (KafkaError, TimeoutError) as error:
            raise NoAnswer(repr(error)) from error
