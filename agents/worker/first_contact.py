"""Waiting for Kafka before anything else: a worker may well be there first."""

import asyncio
import logging

from topics.admin import TopicsError, cluster_id
from topics.cluster import Cluster

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 4.0

log = logging.getLogger(__name__)


async def first_contact(cluster: Cluster) -> str:
    """Return the cluster's id once it answers; that may take a night."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await cluster_id(cluster)
        except TopicsError as error:
            log.warning("waiting, %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
