"""Deletes the requests below a checkpoint; the next audit begins there.

Only requests are deleted: events have a retention, and dead letters stay. Workers recover
from changelogs. Of the requests below the committed offsets, only the audit has a use.
"""

from collections import Counter
from functools import partial

from aiokafka import TopicPartition

from agents.ops.audit.checkpoint import REQUESTS, Checkpoint
from topics import cli
from topics.cli import CommandError
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.target import Target
from topics.topology import GROUPS

_REQUESTS = [topic for topic in GROUPS if topic.name in REQUESTS]


def delete_before(target: Target, checkpoint: Checkpoint, *, yes: bool) -> list[str]:
    """Delete the requests, after a confirmation; return where each log begins now.

    Raises:
        CommandError: a group has not read them, or the person does not confirm.
    """
    counts = cli.read(target, partial(_deletable, checkpoint))
    text = ", ".join(f"{count} of {topic}" for topic, count in counts.items())
    if not (yes or cli.confirm(f"Delete records for ever: {text}?")):
        raise CommandError("nothing was deleted")
    begins = cli.answer(target, partial(_delete, checkpoint))
    return [f"{tp.topic}-{tp.partition} begins at {begins[tp]}" for tp in sorted(begins)]


async def _deletable(checkpoint: Checkpoint, reader: TopicReader) -> dict[str, int]:
    """Return the number of requests below a checkpoint, by topic.

    Raises:
        CommandError: a group of the shop, or any other, has not read all of them.
    """
    if lagging := await _lagging(checkpoint, reader):
        raise CommandError(*lagging, "nothing was deleted")
    requests = await reader.partitions(_REQUESTS)
    counts = Counter[str]()
    for tp, (begin, _) in (await reader.offset_ranges(requests)).items():
        counts[tp.topic] += max(0, checkpoint.offsets[tp] - begin)
    return counts


async def _lagging(checkpoint: Checkpoint, reader: TopicReader) -> list[str]:
    """Return a line for each group and partition whose committed offset is too low."""
    found = []
    committed = await reader.committed(GROUPS)
    owners = {topic.name: group for topic, group in GROUPS.items()}
    for tp, offset in checkpoint.offsets.items():
        if tp.topic in owners and committed.get(tp, 0) < offset:
            found.append((owners[tp.topic], tp, committed.get(tp, 0)))
    others = await reader.committed_by_others({*GROUPS.values()}, _REQUESTS)
    found += [
        (group, tp, offset)
        for group, offsets in others.items()
        for tp, offset in offsets.items()
        if offset < checkpoint.offsets[tp]
    ]
    return [
        f"group {group} has read {tp.topic}-{tp.partition} only up to {offset}, and the"
        f" checkpoint is at {checkpoint.offsets[tp]}"
        for group, tp, offset in found
    ]


async def _delete(
    checkpoint: Checkpoint, cluster: KafkaSettings
) -> dict[TopicPartition, int]:
    """Delete all requests below a checkpoint; return the first offset of each log."""
    before = {tp: end for tp, end in checkpoint.offsets.items() if tp.topic in REQUESTS}
    async with TopicAdmin(cluster) as admin:
        return await admin.delete_records(before)
