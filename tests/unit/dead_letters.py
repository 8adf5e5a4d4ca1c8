"""Dead letters as workers send them."""

from aiokafka.structs import ConsumerRecord

from agents.runtime.collector import RecordCollector
from agents.runtime.producer import ProducerRecord
from topics.catalog import CART_REQUESTS
from topics.topic import Topic

TIME_MS = 1_763_900_800_000
REASON = "user: Field required"


def record(
    topic: str,
    value: bytes | None,
    key: bytes | None = None,
    headers: tuple[tuple[str, bytes | None], ...] = (),
    **different,
) -> ConsumerRecord:
    """A record as it is read; its location is 1@42, or another one."""
    given = {
        "topic": topic,
        "partition": 1,
        "offset": 42,
        "timestamp": TIME_MS,
        "timestamp_type": 0,
        "key": key,
        "value": value,
        "checksum": None,
        "serialized_key_size": len(key or b""),
        "serialized_value_size": len(value or b""),
        "headers": headers,
    }
    return ConsumerRecord(**given | different)


def fetched(sent: ProducerRecord, **different) -> ConsumerRecord:
    """A sent record as it is read."""
    return record(sent.topic, sent.value, sent.key, tuple(sent.headers), **different)


def dead_letter(
    value: bytes | None = b"hello",
    key: bytes | None = b"1",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    source: Topic = CART_REQUESTS,
    **different,
) -> ConsumerRecord:
    """The dead letter of a record; its location is 3@17, or another one."""
    out = RecordCollector(source)
    out.dead_letter(record(source.name, value, key, headers), REASON)
    [sent] = out.commands
    return fetched(sent, **{"partition": 3, "offset": 17} | different)
