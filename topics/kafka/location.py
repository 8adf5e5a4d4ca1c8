"""The location of a record, its identity, and the partition of a key."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord, RecordMetadata

_LOCATION = re.compile(r"(.+)-([0-9]{1,10})@([0-9]{1,19})")


class RecordLocation(NamedTuple):
    """The location of a record; as text, `topic-partition@offset`."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, record: ConsumerRecord | RecordMetadata) -> Self:
        """Return the location of a fetched or an acknowledged record."""
        return cls(record.topic, record.partition, record.offset)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the location in a text; raise a ValueError if it is none."""
        if found := _LOCATION.fullmatch(text):
            return cls(found[1], int(found[2]), int(found[3]))
        raise ValueError(f"{text!r} is not TOPIC-PARTITION@OFFSET")

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


def identity(location: RecordLocation | ConsumerRecord, generation: int) -> str:
    """Return the identity of a record that a client wrote: `topic-partition-offset`.

    A repartition creates the topic again, and its offsets begin again. So its generation,
    the number of repartitions before it, follows the name, unless it is 0.
    """
    topic = f"{location.topic}.{generation}" if generation else location.topic
    return f"{topic}-{location.partition}-{location.offset}"


@lru_cache(maxsize=10_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as Java's and aiokafka's clients choose it.

    It follows from the positive bits of the key's murmur2.
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
