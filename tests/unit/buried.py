"""Dead letters as workers bury them."""

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
    """A record as it is read; it lies at 1@42, or elsewhere."""
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


def arrived(letter: ProducerRecord, **different) -> ConsumerRecord:
    """A letter as it is read."""
    headers = tuple(letter.headers)
    return record(letter.topic, letter.value, letter.key, headers, **different)


def buried(
    value: bytes | None = b"hello",
    key: bytes | None = b"1",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    source: Topic = CART_REQUESTS,
    **different,
) -> ConsumerRecord:
    """What became of a record that could not be served; it lies at 3@17, or elsewhere."""
    said = RecordCollector(source)
    said.dead_letter(record(source.name, value, key, headers), REASON)
    [letter] = said.commands
    return arrived(letter, **{"partition": 3, "offset": 17} | different)
