"""The changelogs, read to their ends as a worker that recovers reads them."""

from collections.abc import Mapping

from aiokafka.structs import ConsumerRecord

from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from agents.worker.recovery import decode_row
from topics.kafka.reader import TopicReader
from topics.topic import Topic
from topics.topology import CHANGELOGS

Snapshots = Mapping[tuple[Topic, int], TableSnapshot]


async def read_changelogs(logs: TopicReader, partitions: Mapping[Topic, int]) -> Snapshots:
    """Return what each partition of each table is, going by its changelog."""
    there = {topic: partitions[topic] for topic in CHANGELOGS}
    copies = {
        (topic, number): TableSnapshot(topic.name, number)
        for topic in CHANGELOGS
        for number in range(there[topic])
    }
    by_name = {topic.name: topic for topic in CHANGELOGS}
    async for tp, records in logs.read(await logs.offset_ranges(there)):
        copies[by_name[tp.topic], tp.partition].recover(map(_kept, records))
    return copies


def _kept(record: ConsumerRecord) -> SnapshotRow:
    at = f"{record.topic}-{record.partition}@{record.offset}"
    return SnapshotRow(decode_row(record), at)
