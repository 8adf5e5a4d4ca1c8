"""What a partition's table was at a named offset of its log."""

from collections import Counter
from collections.abc import Sequence

from aiokafka import TopicPartition

from agents.ops.audit.invariants import StockLocation, balances, put_in, violations
from agents.ops.audit.replay import PartitionReplay, adapter_of
from agents.ops.audit.report import table
from topics.kafka.reader import OffsetRange, ReadError, TopicReader
from topics.topology import AGGREGATES

_FORM = "TOPIC-PARTITION=OFFSET"
_TOPICS = {topic.name: topic for topic in AGGREGATES}


def parse(text: str) -> tuple[TopicPartition, int]:
    """Read a named offset.

    Raises:
        CannotAuditError: it isn't one, or not of a topic that a table is folded from.
    """
    place, _, offset = text.partition("=")
    topic, _, partition = place.rpartition("-")
    if topic not in _TOPICS or not (partition.isdecimal() and offset.isdecimal()):
        raise ReadError(f"{text!r} is not {_FORM} of {', '.join(_TOPICS)}")
    return TopicPartition(topic, int(partition)), int(offset)


async def state_at(
    logs: TopicReader, tp: TopicPartition, offset: int, keys: Sequence[str]
) -> list[str]:
    """Fold a partition up to an offset; show these rows, or all that there is in stock.

    Raises:
        CannotAuditError: the log does not hold it, from its beginning.
    """
    topic = _TOPICS[tp.topic]
    partitions = await logs.partitions([topic])
    span = (await logs.offset_ranges(partitions)).get(tp, OffsetRange(0, 0))
    if span.begin or offset > span.end:
        raise ReadError(f"{tp.topic}-{tp.partition} holds {span.begin}…{span.end}")
    replay = PartitionReplay(topic, tp.partition, partitions[topic], AGGREGATES[topic])
    received: Counter[StockLocation] = Counter()
    async for _, records in logs.read({tp: OffsetRange(0, offset)}):
        for replayed in map(replay.take, records):
            received.update(put_in(replayed))
    shown = [f"{tp.topic}-{tp.partition}@{offset}: {len(replay.rows)} rows"]
    if keys:
        return shown + [_row(replay, key) for key in keys]
    lines = balances(replay.rows, received)
    return [*shown, *(table(lines) if lines else ()), *violations(lines)]


def _row(replay: PartitionReplay, key: str) -> str:
    row = replay.rows.get(key)
    if row is None or replay.aggregate is None:
        return f"{key}: no row"
    value = adapter_of(replay.aggregate, key).dump_json(row).decode()
    return f"{key}: {value}, last changed at {replay.changed_at[key]}"
