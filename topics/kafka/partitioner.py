"""The partition of a key, as Java's and aiokafka's clients choose it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=100_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key, from 0; it has the positive bits of its murmur2."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
