"""A World's logs as Kafka has them; a partition may be the only one of its topic."""

from collections.abc import Iterator

from aiokafka import ConsumerRecord

from agents.ops.audit.replay import PartitionReplay, ReplayedRecord
from agents.ops.audit.snapshots import TableSnapshot
from agents.runtime.rows import Row
from topics.kafka import headers as names

from .partition import Partition, Record
from .world import World


def record(
    partition: Partition, offset: int, sent: Record, number: int = 0
) -> ConsumerRecord:
    """Return a record as a consumer fetches it; its origin is the World's."""
    topic = partition.aggregate.requests
    headers = [(names.ORIGIN, (sent.origin or f"{partition.name}-{offset}").encode())]
    if sent.origin is None or sent.is_moved:
        headers.append((names.MOVED, b"1"))
    if sent.key is not None:
        headers.append((names.IDEMPOTENCY_KEY, sent.key.encode()))
    headers += [(name, value.encode()) for name, value in sent.headers.items()]
    return ConsumerRecord(
        topic=topic.name,
        partition=number,
        offset=offset,
        timestamp=round(sent.at.timestamp() * 1000),
        timestamp_type=1,
        key=topic.key_of(topic.decode(sent.value)),
        value=sent.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(sent.value),
        headers=tuple(headers),
    )


def log(partition: Partition, number: int = 0, begin: int = 0) -> list[ConsumerRecord]:
    """Return the records of a partition, from an offset on."""
    return [
        record(partition, offset, sent, number)
        for offset, sent in enumerate(partition.log)
        if offset >= begin
    ]


def replay(partition: Partition) -> PartitionReplay:
    """Return the replay of a partition before its first record."""
    return PartitionReplay(partition.aggregate.requests, 0, 1)


def replayed_records(world: World) -> Iterator[ReplayedRecord]:
    """Replay all logs, one after the other."""
    for partition in world.all():
        yield from map(replay(partition).take, log(partition))


def snapshot_of(partition: Partition, number: int = 0) -> TableSnapshot:
    """Return the rows of a partition, as its changelog has them."""
    found = TableSnapshot(partition.aggregate.changelog, number, partition.version)
    for offset, (key, value) in enumerate(partition.rows.items()):
        row = Row(key.encode(), value, partition.version)
        found.rows[row.key], found.offsets[row.key] = row, offset
    return found


def differences(partition: Partition, snapshot: TableSnapshot) -> list[str]:
    """Replay a partition; compare it at the source offset of a snapshot."""
    replayed = replay(partition)
    replayed.compare(snapshot)
    for sent in log(partition):
        replayed.take(sent)
    return replayed.differences()
