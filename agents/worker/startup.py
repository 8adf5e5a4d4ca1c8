"""Waits for Kafka at the start of a worker, and checks the number of partitions."""

import asyncio
import logging

from agents.runtime.fail_stop import fail_stop
from topics.admin import TopicsError, cluster_id, partition_drift
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings

_MIN_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 4.0

log = logging.getLogger(__name__)


async def wait_for_kafka(cluster: KafkaSettings) -> str:
    """Return the cluster's id once a broker answers, however long that takes.

    A wrong number of partitions stops the worker: it would forward records to other owners
    than its fellow workers do. So does a failed authentication, which no retry cures.
    """
    pause = _MIN_BACKOFF_SECONDS
    while True:
        try:
            for line in await partition_drift(cluster):
                fail_stop("PARTITIONS is wrong: %s", line)
            return await cluster_id(cluster)
        except KafkaAuthenticationError as error:
            fail_stop("%s", error)
        except TopicsError as error:
            log.warning("event=waiting-for-kafka reason=%r", str(error))
        await asyncio.sleep(pause)
        pause = min(2 * pause, _MAX_BACKOFF_SECONDS)
