"""A World's logs, as Kafka would have them: each partition is a topic's only one."""

from collections.abc import Iterator

from aiokafka import ConsumerRecord

from agents.ops.audit.replay import PartitionReplay, ReplayedRecord
from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot, compare
from agents.runtime.state_store import Row
from topics.kafka import headers as names

from .partition import Partition, Record
from .world import World


def record(partition: Partition, offset: int, said: Record) -> ConsumerRecord:
    """Return a record as a consumer gets it; its name is World's, whatever its place."""
    topic = partition.aggregate.requests
    headers = [(names.ORIGIN, (said.origin or f"{partition.name}-{offset}").encode())]
    if said.key is not None:
        headers.append((names.IDEMPOTENCY_KEY, said.key.encode()))
    if said.purchase is not None:
        headers.append((names.PURCHASE, said.purchase.encode()))
    return ConsumerRecord(
        topic=topic.name,
        partition=0,
        offset=offset,
        timestamp=round(said.at.timestamp() * 1000),
        timestamp_type=1,
        key=topic.key_of(topic.decode(said.value)),
        value=said.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(said.value),
        headers=tuple(headers),
    )


def log(partition: Partition) -> list[ConsumerRecord]:
    """Return all records of a partition."""
    return [record(partition, offset, said) for offset, said in enumerate(partition.log)]


def replay(partition: Partition) -> PartitionReplay:
    """Return the fold of a partition before its first record."""
    return PartitionReplay(partition.aggregate.requests, 0, 1, partition.aggregate)


def turns(world: World) -> Iterator[ReplayedRecord]:
    """Fold all logs, one after the other; yield each record's turn."""
    for partition in world.all():
        folding = replay(partition)
        yield from map(folding.take, log(partition))


def copy(partition: Partition) -> TableSnapshot:
    """Return the rows that came to be in a partition, as its changelog would have them."""
    found = TableSnapshot(partition.aggregate.changelog.name, 0, partition.version)
    for number, (key, value) in enumerate(partition.rows.items()):
        row = Row(key.encode(), value, partition.version)
        found.rows[row.key] = SnapshotRow(row, f"{found.name}-0@{number}")
    return found


def differences(partition: Partition, kept: TableSnapshot) -> list[str]:
    """Fold a partition up to what a copy says it holds; return what differs."""
    found: list[str] = []
    folding = replay(partition)
    folding.at_offset(kept.version, lambda: found.extend(map(str, compare(folding, kept))))
    for said in log(partition):
        folding.take(said)
    folding.advance_to(len(partition.log))
    return found
