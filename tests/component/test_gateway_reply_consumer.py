"""Replies are read once each, from the moment when the consumer is ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.reply_consumer import ReplyConsumer
from tests.component.door import PATIENCE_SECONDS
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

CORRELATION = "kafka_correlationId"
INDEX = 11  # no other test's


@asynccontextmanager
async def consuming(cluster: KafkaSettings) -> AsyncIterator[asyncio.Queue[bytes]]:
    """Read replies until the end of the block; yield their correlation ids, in order."""
    ids: asyncio.Queue[bytes] = asyncio.Queue()
    consumer = ReplyConsumer(
        cluster.client_options(),
        INDEX,
        lambda correlation_id, _: ids.put_nowait(correlation_id),
    )
    run = asyncio.create_task(consumer.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not consumer.ready:  # noqa: ASYNC110 -- it has no event
            await asyncio.sleep(0.01)
        yield ids
    run.cancel()
    await asyncio.wait([run])


async def test_each_reply_is_read_once(cluster: KafkaSettings, shop: Shop):
    sent = [str(number).encode() for number in range(100)]
    async with consuming(cluster) as ids:
        for correlation_id in sent:
            await shop.send_unrequested(INDEX, [(CORRELATION, correlation_id)])
        assert [await ids.get() for _ in sent] == sent
        await shop.send_unrequested(INDEX, [(CORRELATION, b"last")])
        assert await ids.get() == b"last"


async def test_a_reply_from_before_the_start_is_not_read(
    cluster: KafkaSettings, shop: Shop
):
    await shop.send_unrequested(INDEX, [(CORRELATION, b"before")])
    async with consuming(cluster) as ids:
        await shop.send_unrequested(INDEX, [(CORRELATION, b"after")])
        assert await ids.get() == b"after"
