"""The changelogs, read to their ends as a worker that recovers reads them."""

from collections.abc import Mapping

from aiokafka.structs import ConsumerRecord

from agents.audit.compare import Copy, Kept
from agents.audit.logs import Logs
from agents.audit.scope import CHANGELOGS
from agents.worker.recovery import decode_row
from topics.topic import Topic

Copies = Mapping[tuple[Topic, int], Copy]


async def read_changelogs(logs: Logs, partitions: Mapping[Topic, int]) -> Copies:
    """Return what each partition of each table is, going by its changelog."""
    there = {topic: partitions[topic] for topic in CHANGELOGS}
    copies = {
        (topic, number): Copy(topic.name, number)
        for topic in CHANGELOGS
        for number in range(there[topic])
    }
    by_name = {topic.name: topic for topic in CHANGELOGS}
    async for tp, records in logs.read(await logs.spans(there)):
        copies[by_name[tp.topic], tp.partition].recover(map(_kept, records))
    return copies


def _kept(record: ConsumerRecord) -> Kept:
    at = f"{record.topic}-{record.partition}@{record.offset}"
    return Kept(decode_row(record), at)
