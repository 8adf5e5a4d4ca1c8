"""Moves the rows of tables to the partitions of their owners.

Rows are not folded again: requests may have been deleted by retention. They are the fold
of a prefix of their source, as a recovering worker reads them.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.notifications.pending import pending_key
from agents.ops.repartition.copying import RecordWriter
from agents.ops.repartition.logs import Advance, EventLocations, create_staging
from agents.ops.repartition.plan import Plan, Step
from agents.runtime.changelog import read_changelogs
from agents.runtime.state_store import StateStore
from topics.catalog import SENT_CHANGELOG
from topics.cli import CommandError
from topics.kafka.location import partition_of
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.topic import Topic
from topics.topology import CHANGELOGS

_NO_ROW = b"0"
"""The key of a deleted row in a partition without rows, which has a source offset, too."""

Stores = Mapping[str, StateStore]
"""The rows of each changelog, by its name."""


@asynccontextmanager
async def opened(
    cluster: KafkaSettings, partitions: int, generation: int
) -> AsyncIterator[Stores]:
    """Read all changelogs into temporary files."""
    with TemporaryDirectory(prefix="repartition-") as directory:
        stores = {
            topic.name: StateStore(Path(directory) / topic.name, "", generation=generation)
            for topic in CHANGELOGS
        }
        try:
            await read_changelogs(stores, range(partitions), cluster)
            yield stores
        finally:
            for store in stores.values():
                store.close()


def included(store: StateStore) -> dict[int, int]:
    """Return the source offset of each partition's rows."""
    return {number: offsets.source_offset for number, offsets in store.offsets.items()}


def pending_events(
    store: StateStore, begins: Mapping[int, int], partitions: int
) -> tuple[EventLocations, list[int]]:
    """Return the events that have pending rows, to be located, and those that are gone.

    An event that retention has deleted gets an offset below all others: those of fillers.

    Args:
        store: of the notifications.
        begins: the first offset of each partition of the events.
        partitions: to come.

    Returns:
        Offsets, -1 if they are to be found; and the number of fillers of each partition.
    """
    events, fillers = EventLocations(), [0] * partitions
    for number, begin in sorted(begins.items()):
        for key in (key for key, _ in store.rows(number) if b"/" in key):
            at = number, int(key.split(b"/")[1])
            if at in events or at[1] >= begin:
                events.setdefault(at, -1)
                continue
            new = _partition_of_row(SENT_CHANGELOG, key, partitions)
            events[at] = fillers[new]
            fillers[new] += 1
    return events, fillers


@dataclass(frozen=True, slots=True)
class RowStaging:
    """Stages the rows of tables."""

    cluster: KafkaSettings
    admin: TopicAdmin
    plan: Plan

    async def stage(
        self, topic: Topic, store: StateStore, events: EventLocations, advance: Advance
    ) -> None:
        """Stage the rows of a changelog. Their source offset is written at last."""
        planned, partitions = self.plan.topics[topic.name], self.plan.partitions
        staging = await create_staging(self.admin, self.plan, topic)
        counts, now = [0] * partitions, int(time.time() * 1000)
        async with RecordWriter(self.cluster, staging.name) as writer:
            for old in range(planned.partitions):
                for key, value in _rows(topic, store, old, events):
                    number = _partition_of_row(topic, key, partitions)
                    await writer.add(number, key, value, now, [])
                    counts[number] += 1
                    advance(1)
            for number in range(partitions):
                if not counts[number]:
                    await writer.add(number, _NO_ROW, None, now, [])
                    counts[number] = 1
        planned.counts = counts
        planned.fillers = planned.committed = planned.included = [0] * partitions
        planned.step = Step.STAGED


def _rows(
    topic: Topic, store: StateStore, partition: int, events: EventLocations
) -> Iterator[tuple[bytes, bytes]]:
    """Yield rows; the key of a pending notification gets the new offset of its event."""
    for key, value in store.rows(partition):
        if topic is SENT_CHANGELOG and b"/" in key:
            transport, offset, order = key.decode().split("/")
            new = events[partition, int(offset)]
            if new < 0:
                raise CommandError(f"{topic.name}: {key.decode()} is about no event")
            yield pending_key(transport, new, order), value
        else:
            yield key, value


def _partition_of_row(topic: Topic, key: bytes, partitions: int) -> int:
    try:
        return partition_of(topic.owner_of_row(key.decode()).encode(), partitions)
    except ValueError:
        raise CommandError(f"{topic.name}: {key!r} is no row of the shop") from None
