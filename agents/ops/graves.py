"""Dead letters in Kafka: the newest ones, or those that are named."""

from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.cli import CommandError
from agents.ops.dead_letters import SOURCES, Summary, summary
from topics.catalog import DEAD_LETTERS
from topics.kafka.location import RecordLocation
from topics.kafka.reader import OffsetRange, TopicReader
from topics.topic import Topic


async def newest(logs: TopicReader, topics: Iterable[Topic], most: int) -> list[Summary]:
    """Return what there is to say of the newest dead letters; the last one is the newest.

    Args:
        logs: where they lie.
        topics: of dead letters.
        most: how many.
    """
    return [summary(record) for record in await logs.tail(topics, most)]


async def read_at(
    logs: TopicReader, places: Iterable[RecordLocation]
) -> list[ConsumerRecord]:
    """Return the dead letters that lie at these places.

    Raises:
        CannotError: one of them is not there.
    """
    return [await _at(logs, place) for place in dict.fromkeys(places)]


async def _at(logs: TopicReader, place: RecordLocation) -> ConsumerRecord:
    topic = DEAD_LETTERS[SOURCES[place.topic]]
    tp = TopicPartition(place.topic, place.partition)
    span = (await logs.offset_ranges(await logs.partitions([topic]))).get(tp)
    if span is None:
        raise CommandError(f"{place}: there is no such partition")
    if span.begin <= place.offset < span.end:
        wanted = {tp: OffsetRange(place.offset, place.offset + 1)}
        async for _, records in logs.read(wanted):
            for record in records:
                if record.offset == place.offset:
                    return record
    held = f"{span.begin} to {span.end - 1}" if span.begin < span.end else "nothing"
    raise CommandError(f"{place}: there is no such offset; the partition holds {held}")
