"""Where a record lies after a repartition: the partition of its owner, and its headers."""

from collections.abc import Callable
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from agents.runtime.deserializer import (
    ORIGIN,
    InvalidRecord,
    ReplyContext,
    deserialize,
    parse_reply_context,
)
from agents.runtime.producer import Headers
from topics.catalog import DEFAULT_REPLIES
from topics.kafka import headers as names
from topics.kafka.location import identity, partition_of
from topics.topic import Topic

PROBE = (("repartition", b"probe"),)
"""The headers of empty records that prove that a frozen topic takes no more records."""

LAST: Headers = []
"""Those of the records behind all others, which have neither a key nor a value."""

Place = Callable[[ConsumerRecord, bool], "Placement | None"]
"""Returns the placement of a record; it also gets whether the shop has processed it."""


class Placement(NamedTuple):
    """A new partition, and the headers there."""

    partition: int
    headers: Headers


class RequestPlacement:
    """Places the records of a topic of requests or events.

    Of the records that the shop has processed, it drops invalid and misrouted ones: they
    are dead letters, or their owner's partition has a copy. The first location of each
    record becomes its header `origin`, so that its identity stays.

    Args:
        old: the number of partitions until now.
        new: the number of partitions to come.
        generation: the number of repartitions until now.
    """

    def __init__(self, topic: Topic, old: int, new: int, generation: int) -> None:
        self._topic = topic
        self._old = old
        self._new = new
        self._generation = generation

    def __call__(self, record: ConsumerRecord, is_processed: bool) -> Placement | None:
        """Return the placement of a record; None: it is dropped."""
        if is_probe(record):
            return None
        context = parse_reply_context(record)
        try:
            envelope = deserialize(self._topic, record, context, self._generation)
        except InvalidRecord:
            if is_processed:
                return None
            partition = _by_key(record, self._new)
        else:
            is_owner = partition_of(envelope.key, self._old) == record.partition
            if is_processed and self._has_copy(context, is_owner=is_owner):
                return None
            partition = partition_of(envelope.key, self._new)
        return Placement(partition, self._with_origin(record))

    def _has_copy(self, context: ReplyContext, *, is_owner: bool) -> bool:
        """Return whether a processed record was forwarded, or is a dead letter."""
        if context.invalid_reply_topic is None:
            return not is_owner
        # A request was refused where it was found; an event has no reply.
        return self._topic not in DEFAULT_REPLIES

    def _with_origin(self, record: ConsumerRecord) -> Headers:
        headers = [*record.headers]
        if not ORIGIN.fullmatch(dict(headers).get(names.ORIGIN) or b""):
            origin = identity(record, self._generation).encode()
            headers += [(names.ORIGIN, origin), (names.MOVED, b"1")]
        return headers


def place_by_key(record: ConsumerRecord, new: int) -> Placement | None:
    """Return the placement of a record by its key alone; its headers stay."""
    if is_probe(record):
        return None
    return Placement(_by_key(record, new), [*record.headers])


def _by_key(record: ConsumerRecord, partitions: int) -> int:
    if record.key is None:
        return int(record.partition) % partitions
    return partition_of(record.key, partitions)


def is_probe(record: ConsumerRecord) -> bool:
    """Return whether a record is a probe, or a last one: no request is empty."""
    headers = tuple(record.headers)
    is_last = record.key is None and not headers
    return record.value is None and (is_last or headers == PROBE)
