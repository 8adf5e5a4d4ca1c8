"""A record as the rules see it: a request, its cause and its conversation."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.cause import Cause
from agents.runtime.producer import Headers
from schemas.contract import Contract
from topics.explanation import explain
from topics.kafka import headers as names
from topics.topic import Topic

REPLY_TOPIC = re.compile(
    r"[A-Za-z0-9._-]{1,241}\.replies|[A-Za-z0-9._-]{1,243}\.reply"  # NestJS' own names
)
MAX_TOPIC = 249
MAX_PARTITION = 2**31 - 1
_DIGITS = 11
"""One more than the largest partition has: what is cut off can't make it valid."""

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,128}")
MAX_HEADERS = 64 * 2**10
_TOO_MUCH = f"headers: more than {MAX_HEADERS} bytes"
MAX_PROPAGATED_BYTES = 4 * 2**10
"""What rides from cause to effect: an order of a thousand lines repeats it as often."""

MAX_VALUE = 256 * 2**10
"""No valid request comes near; what is smaller can be passed on and answered whole."""

MAX_KEY = 2**10
"""A key of ours is decimal text; what is longer is repeated in no reply."""

INTERNAL = re.compile(r"[!-~]{1,256}")
ORIGIN = re.compile(rb"[A-Za-z0-9._-]{1,249}-\d{1,10}-\d{1,19}")


class InvalidRecord(Exception):  # noqa: N818 -- a verdict on a record
    """A record that can't be understood; it goes to the dead letters with this reason."""


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """Who asked and where the answer goes; rides from cause to effect.

    Attributes:
        correlation_id: the caller's own, returned unchanged.
        reply_topic: where the caller listens; None: nobody in particular.
        reply_partition: which partition of it; None: by the request's key.
        nest: whether the caller is NestJS' client, which writes partitions as text.
        trace: the caller's trace headers, if any.
        refused_topic: a reply topic that the shop won't write to.
        fault: what is wrong with the headers, if anything.
    """

    correlation_id: bytes | None = None
    reply_topic: str | None = None
    reply_partition: int | None = None
    nest: bool = False
    trace: tuple[tuple[str, bytes], ...] = ()
    invalid_reply_topic: str | None = None
    error: str | None = None

    @property
    def headers(self) -> Headers:
        """What a reply carries.

        NestJS' client awaits further replies to a request until one has a header of its
        own: without it, an HTTP controller that returns the reply would never respond.
        """
        return [*self.ids, (names.NEST_IS_DISPOSED, b"\0")] if self.nest else self.ids

    @property
    def ids(self) -> Headers:
        """What names the conversation."""
        if self.correlation_id is None:
            return [*self.trace]
        return [(names.CORRELATION_ID, self.correlation_id), *self.trace]

    @property
    def return_address(self) -> Headers:
        """Where the reply goes, written as the caller wrote it."""
        headers = []
        if self.reply_topic is not None:
            headers.append((names.REPLY_TOPIC, self.reply_topic.encode()))
        if self.reply_partition is not None:
            number = self.reply_partition
            written = b"%d" % number if self.nest else number.to_bytes(4, "big")
            headers.append((names.REPLY_PARTITION, written))
        return headers


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request as it arrived."""

    request: Contract
    cause: Cause
    reply_context: ReplyContext
    key: bytes

    def propagated_headers(self, purchase: str | None) -> Headers:
        """Return the headers of whatever follows from this request."""
        context = self.reply_context
        headers = [(names.ORIGIN, self.cause.origin.encode()), *context.ids]
        headers += context.return_address
        if self.cause.idempotency_key is not None:
            headers.append((names.IDEMPOTENCY_KEY, self.cause.idempotency_key.encode()))
        if purchase is not None:
            headers.append((names.PURCHASE, purchase.encode()))
        return headers


def parse_reply_context(record: ConsumerRecord) -> ReplyContext:
    """Read who asked; what is wrong with it is told, so that he can be told."""
    if not record.headers:
        return ReplyContext()
    headers = dict(record.headers)
    correlation_id = headers.get(names.CORRELATION_ID)
    if len(correlation_id or b"") > MAX_HEADERS:  # no reply could carry it
        return ReplyContext(error=_TOO_MUCH)
    topic, valid = _reply_topic((headers.get(names.REPLY_TOPIC) or b"")[: MAX_TOPIC + 1])
    partition, error = _partition(headers.get(names.REPLY_PARTITION))
    nest = (headers.get(names.REPLY_PARTITION) or b"").isdigit()
    return ReplyContext(
        correlation_id=correlation_id,
        reply_topic=topic if valid else None,
        reply_partition=partition,
        nest=nest,
        trace=_trace(headers, MAX_PROPAGATED_BYTES - len(correlation_id or b"")),
        invalid_reply_topic=topic if topic and not valid else None,
        error=_excess(record.headers, correlation_id) or error,
    )


def _excess(headers: Headers, correlation_id: bytes | None) -> str | None:
    """Say what there is too much of, if anything."""
    if sum([len(name) + len(value or b"") for name, value in headers]) > MAX_HEADERS:
        return _TOO_MUCH
    if len(correlation_id or b"") > MAX_PROPAGATED_BYTES:
        return f"{names.CORRELATION_ID}: more than {MAX_PROPAGATED_BYTES} bytes"
    return None


def _trace(headers: dict[str, bytes], room: int) -> tuple[tuple[str, bytes], ...]:
    """Return the trace, unless it is too long: no request fails for the sake of a trace."""
    trace = tuple([(name, headers[name]) for name in names.TRACE if headers.get(name)])
    return trace if sum([len(value) for _, value in trace]) <= room else ()


@lru_cache(maxsize=10_000)
def _reply_topic(value: bytes) -> tuple[str, bool]:
    """Return the topic that a header names, and whether it can be one of replies."""
    topic = value.decode("utf-8", "replace")
    return topic, REPLY_TOPIC.fullmatch(topic) is not None


def deserialize(
    topic: Topic, record: ConsumerRecord, conversation: ReplyContext
) -> Envelope:
    """Read a record.

    Raises:
        Poison: it breaks the topic's contract; the text says where.
    """
    if len(record.value or b"") > MAX_VALUE:
        raise InvalidRecord(f"value: more than {MAX_VALUE} bytes")
    if conversation.error is not None:
        raise InvalidRecord(conversation.error)
    try:
        request = topic.decode(record.value or b"")
    except ValidationError as error:
        raise InvalidRecord(explain(topic, error, record.value or b"")) from None
    headers = dict(record.headers)
    if len(headers) < len(record.headers):
        _require_one_key(record.headers)
    cause = Cause(
        timestamp=_time(record.timestamp),
        origin=_origin(headers) or f"{record.topic}-{record.partition}-{record.offset}",
        idempotency_key=_idempotency_key(headers),
        purchase=_text(headers, names.PURCHASE, INTERNAL),
    )
    return Envelope(request, cause, conversation, topic.key_of(request))


def _time(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRecord("timestamp: out of range") from None


def _partition(value: bytes | None) -> tuple[int | None, str | None]:
    """Return the partition that a header names, or what is wrong with it.

    Four digits could be either form. They are text: as an int32 they would name a
    partition above 800,000,000, which no topic has.
    """
    if value is None:
        return None, None
    if value.isdigit():
        number = int(value.lstrip(b"0")[:_DIGITS] or b"0")
    elif len(value) == 4:  # noqa: PLR2004 -- an int32
        number = int.from_bytes(value, "big", signed=True)
    else:
        number = -1
    if 0 <= number <= MAX_PARTITION:
        return number, None
    return None, f"{names.REPLY_PARTITION}: neither int32, big endian, nor decimal digits"


def _require_one_key(headers: Headers) -> None:
    """Raise Poison for different keys; of other headers, Kafka's convention is the last."""
    if len({value for name, value in headers if name == names.IDEMPOTENCY_KEY}) > 1:
        raise InvalidRecord(f"{names.IDEMPOTENCY_KEY}: given twice, with different values")


def _idempotency_key(headers: dict[str, bytes]) -> str | None:
    value = headers.get(names.IDEMPOTENCY_KEY)
    if value is None:
        return None
    quoted = len(value) > 1 and value[:1] == value[-1:] == b'"'
    key = (value[1:-1] if quoted else value).decode("latin-1")
    if IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise InvalidRecord(
            f"{names.IDEMPOTENCY_KEY}: not 1 to 128 visible ASCII characters"
        )
    return key


def _origin(headers: dict[str, bytes]) -> str | None:
    """Return the name of the record that began this; anything else there is not ours.

    It names rows: what looks like an order's id would stand for that order's goods.
    """
    value = headers.get(names.ORIGIN) or b""
    return value.decode() if ORIGIN.fullmatch(value) else None


def _text(headers: dict[str, bytes], name: str, form: re.Pattern[str]) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    text = value.decode("latin-1")
    if form.fullmatch(text) is None:
        raise InvalidRecord(f"{name}: not up to 256 visible ASCII characters")
    return text
