"""Replies are read once each, from the moment when the gateway is there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.kafka.reply_consumer import ReplyConsumer
from tests.component.door import PATIENCE_SECONDS
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

CORRELATION = "kafka_correlationId"
INDEX = 11  # no other test's


@asynccontextmanager
async def reading(cluster: KafkaSettings) -> AsyncIterator[asyncio.Queue[bytes]]:
    """Read replies until the end of the block; yields whose they are, in order."""
    came: asyncio.Queue[bytes] = asyncio.Queue()
    inbox = ReplyConsumer(
        cluster.client_options(), INDEX, lambda whose, _: came.put_nowait(whose)
    )
    run = asyncio.create_task(inbox.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not inbox.ready:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.01)
        yield came
    run.cancel()
    await asyncio.wait([run])


async def test_each_reply_is_handed_over_once(cluster: KafkaSettings, shop: Shop):
    whose = [str(number).encode() for number in range(100)]
    async with reading(cluster) as came:
        for one in whose:
            await shop.tell(INDEX, [(CORRELATION, one)])
        assert [await came.get() for _ in whose] == whose
        await shop.tell(INDEX, [(CORRELATION, b"last")])
        assert await came.get() == b"last"


async def test_what_was_there_before_the_start_is_not_read(
    cluster: KafkaSettings, shop: Shop
):
    await shop.tell(INDEX, [(CORRELATION, b"before")])
    async with reading(cluster) as came:
        await shop.tell(INDEX, [(CORRELATION, b"after")])
        assert await came.get() == b"after"
