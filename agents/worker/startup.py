"""Waiting for Kafka before anything else, and seeing that it is the one that is meant."""

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
    """Return the cluster's id once it answers; that may take a night.

    A worker that was told another number of partitions than the topics have is ended: it
    would take others for the owners of its records than all its fellows do. So is one that
    Kafka does not let in: no waiting helps against a wrong password.
    """
    pause = _MIN_BACKOFF_SECONDS
    while True:
        try:
            for line in await partition_drift(cluster):
                fail_stop("PARTITIONS is wrong here: %s", line)
            return await cluster_id(cluster)
        except KafkaAuthenticationError as error:
            fail_stop("%s", error)
        except TopicsError as error:
            log.warning("waiting, %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _MAX_BACKOFF_SECONDS)
