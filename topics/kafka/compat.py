"""Replaces parts of aiokafka. Entry points call `apply` before a client fetches."""

from aiokafka.consumer import fetcher

from topics.kafka.lenient_records import LenientRecords


def apply() -> None:
    """Have all consumers of this process read records as the workers do; idempotent."""
    fetcher.MemoryRecords = LenientRecords
