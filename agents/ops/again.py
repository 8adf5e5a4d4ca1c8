"""A dead letter on its way back: the bytes, key and headers that its sender gave it.

It stays the same request. With an idempotency key it is one more attempt at it; without,
it is named after the place where it lay first, as if it were read there once more. So a
replay counts once, however often it is sent, and not at all if the request was carried out
meanwhile. Only the conversation is another one: whoever asked was told at the time that his
request was bad, and the outcome is for whoever replays it.
"""

from collections.abc import Iterator

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.cli import CommandError
from agents.ops.dead_letters import DLQ_HEADER_PREFIX, SOURCES, dlq_headers
from agents.runtime.collector import TRUNCATED
from agents.runtime.deserializer import ORIGIN
from agents.runtime.producer import Headers, ProducerRecord
from schemas.cart import OrderSettled
from schemas.contract import Contract
from schemas.order import ExpireOrder, OrderStatusChanged, StockReserved
from schemas.stock import Release, Reserve, Sell
from topics.kafka import headers as names
from topics.kafka.location import RecordLocation
from topics.topic import Topic

# Carried out without a word, or with one that may be somebody else's.
_WITHOUT_REPLY = (
    ExpireOrder,
    OrderSettled,
    OrderStatusChanged,
    Release,
    Reserve,
    Sell,
    StockReserved,
)
_CONVERSATION = (names.CORRELATION_ID, names.REPLY_TOPIC, names.REPLY_PARTITION)


def original_record(record: ConsumerRecord) -> ProducerRecord:
    """Return what is sent in order to have a dead letter served after all.

    Raises:
        CannotError: the letter is not whole, or does not say where it comes from.
    """
    source, told = SOURCES[record.topic], dlq_headers(record)
    first = f"{source.name}-{told.get('partition')}-{told.get('offset')}"
    if told.get("topic") != source.name or not ORIGIN.fullmatch(first.encode()):
        raise CommandError(f"{RecordLocation.of(record)} does not say where it comes from")
    if told.get("reason", "").endswith(TRUNCATED):
        raise CommandError(
            f"{RecordLocation.of(record)} is not whole any more; {first} may be"
        )
    kept = [header for header in record.headers if _is_senders(header[0])]
    return ProducerRecord(
        source.name, record.key, record.value, [*kept, *_name(kept, first)]
    )


def request(source: Topic, value: bytes | None) -> Contract | None:
    """Read what is asked; None if we can't."""
    try:
        return source.decode(value or b"")
    except ValidationError:
        return None


def expects_no_reply(asked: Contract | None) -> bool:
    """Tell whether it need not be answered; what we can't read is refused aloud."""
    return isinstance(asked, _WITHOUT_REPLY)


def _is_senders(header: str) -> bool:
    return not header.startswith(DLQ_HEADER_PREFIX) and header not in _CONVERSATION


def _name(headers: Headers, first: str) -> Iterator[tuple[str, bytes]]:
    """Yield what makes it the same request each time, unless it has a name by itself."""
    given = dict(headers)
    named = ORIGIN.fullmatch(given.get(names.ORIGIN) or b"")
    if not named and given.get(names.IDEMPOTENCY_KEY) is None:
        yield names.ORIGIN, first.encode()
