"""Whether a service is done with a record: all that it caused has arrived then (R2)."""

import asyncio

from aiokafka.structs import RecordMetadata

from topics.kafka.reader import TopicReader
from topics.topic import Topic
from topics.topology import GROUPS

READERS = GROUPS

LOOK_SECONDS = 0.2


async def wait_until_committed(
    logs: TopicReader, source: Topic, sent: RecordMetadata
) -> None:
    """Wait until a record of a topic has been served and committed."""
    while not await is_committed(logs, source, sent):  # noqa: ASYNC110 -- Kafka does not tell
        await asyncio.sleep(LOOK_SECONDS)


async def is_committed(logs: TopicReader, source: Topic, sent: RecordMetadata) -> bool:
    """Tell whether a record of a topic has been served and committed."""
    committed = await logs.committed({source: READERS[source]})
    return committed.get(sent.topic_partition, 0) > int(sent.offset)
