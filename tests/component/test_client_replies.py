"""Replies to clients' own topics: the clients that send them end with the worker."""

import asyncio

from agents.runtime.client_replies import ClientReplyProducer
from agents.runtime.producer import ProducerRecord
from topics.catalog import STOCK_REPLIES
from topics.kafka.settings import KafkaSettings


async def test_no_task_is_left_when_the_producer_is_closed(cluster: KafkaSettings):
    before = asyncio.all_tasks()
    replies = ClientReplyProducer(cluster)
    missing, there = (
        ProducerRecord(topic, None, b"{}", [])
        for topic in ("missing.replies", STOCK_REPLIES.name)
    )
    await replies.send([there, missing])
    assert asyncio.all_tasks() > before
    await replies.close()
    assert asyncio.all_tasks() == before


async def test_a_producer_without_replies_has_nothing_to_close(cluster: KafkaSettings):
    await ClientReplyProducer(cluster).close()
