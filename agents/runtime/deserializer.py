"""Deserializes records: the request, its cause and its reply context."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.aggregate import Cause
from agents.runtime.producer import Headers
from schemas.contract import Contract
from topics.catalog import explain
from topics.kafka import headers as names
from topics.kafka.location import identity
from topics.topic import Topic

REPLY_TOPIC = re.compile(
    r"[A-Za-z0-9._-]{1,241}\.replies|[A-Za-z0-9._-]{1,243}\.reply"  # NestJS' names
)
MAX_TOPIC = 249
MAX_PARTITION = 2**31 - 1
_DIGITS = 11
"""One more than the largest partition has, so that a longer number stays invalid."""

IDEMPOTENCY_KEY = re.compile(names.KEY_PATTERN)
MAX_HEADERS = 64 * 2**10
_TOO_MUCH = f"headers: more than {MAX_HEADERS} bytes"
MAX_PROPAGATED_BYTES = 4 * 2**10
"""Limit of propagated headers: each line of an order repeats them."""

_TRACE = frozenset(names.TRACE)

MAX_VALUE = 256 * 2**10
"""Far above any valid request; a smaller value can be forwarded and echoed whole."""

MAX_KEY = 2**10  # our keys are decimal text; a longer key is not echoed in replies
PROPAGATED_TEXT = re.compile(r"[!-~]{1,256}")
ORIGIN = re.compile(rb"[A-Za-z0-9._-]{1,249}-\d{1,10}-\d{1,19}")


class InvalidRecord(Exception):  # noqa: N818 -- a classification
    """A record that breaks its contract; it becomes a dead letter with this reason."""


class ReplyContext(NamedTuple):
    """The caller and the destination of the reply; propagated from request to request.

    Attributes:
        reply_topic: None for the default topic.
        reply_partition: None for the partition of the request's key.
        nest: whether the caller is NestJS' client, which writes partitions as text.
        invalid_reply_topic: a reply topic to which the shop does not write.
        error: the error of the headers, if any; for a reply to the caller.
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
        """The headers of a reply.

        NestJS' client waits for more replies until one has its own header. Without that
        header an HTTP controller that returns the reply would never respond.
        """
        return [*self.ids, (names.NEST_IS_DISPOSED, b"\0")] if self.nest else self.ids

    @property
    def ids(self) -> Headers:
        """The correlation id and the trace."""
        if self.correlation_id is None:
            return [*self.trace]
        return [(names.CORRELATION_ID, self.correlation_id), *self.trace]


class Envelope(NamedTuple):
    """A request with its cause, its reply context and its key."""

    request: Contract
    cause: Cause
    reply_context: ReplyContext
    key: bytes

    def propagated_headers(self, extra: Mapping[str, str]) -> Headers:
        """Return the headers of the messages that this request causes.

        The destination of the reply is encoded as the caller encoded it.
        """
        context = self.reply_context
        headers = [(names.ORIGIN, self.cause.origin.encode()), *context.ids]
        if context.reply_topic is not None:
            headers.append((names.REPLY_TOPIC, context.reply_topic.encode()))
        if (number := context.reply_partition) is not None:
            encoded = b"%d" % number if context.nest else number.to_bytes(4, "big")
            headers.append((names.REPLY_PARTITION, encoded))
        if self.cause.idempotency_key is not None:
            headers.append((names.IDEMPOTENCY_KEY, self.cause.idempotency_key.encode()))
        if extra:
            headers += [(name, value.encode()) for name, value in extra.items()]
        return headers


def parse_reply_context(record: ConsumerRecord) -> ReplyContext:
    """Parse the reply context of a record; it may have an `error`."""
    if not record.headers:
        return ReplyContext()
    headers = dict(record.headers)
    correlation_id = headers.get(names.CORRELATION_ID)
    id_size = len(correlation_id or b"")
    if id_size > MAX_HEADERS:  # too large for a reply
        return ReplyContext(error=_TOO_MUCH)
    topic, valid = _reply_topic((headers.get(names.REPLY_TOPIC) or b"")[: MAX_TOPIC + 1])
    partition, error = _partition(headers.get(names.REPLY_PARTITION))
    if _size(record.headers) > MAX_HEADERS < _size(_of_client(record)):
        error = _TOO_MUCH
    elif id_size > MAX_PROPAGATED_BYTES:
        error = f"{names.CORRELATION_ID}: more than {MAX_PROPAGATED_BYTES} bytes"
    trace: tuple[tuple[str, bytes], ...] = ()
    if not _TRACE.isdisjoint(headers):
        trace = tuple((name, headers[name]) for name in names.TRACE if headers.get(name))
        if sum(len(value) for _, value in trace) > MAX_PROPAGATED_BYTES - id_size:
            trace = ()  # a trace fails no request
    return ReplyContext(
        correlation_id=correlation_id,
        reply_topic=topic if valid else None,
        reply_partition=partition,
        nest=(headers.get(names.REPLY_PARTITION) or b"").isdigit(),
        trace=trace,
        invalid_reply_topic=topic if topic and not valid else None,
        error=error,
    )


def _size(headers: Iterable[tuple[str, bytes]]) -> int:
    return sum([len(name) + len(value or b"") for name, value in headers])


def _of_client(record: ConsumerRecord) -> Sequence[tuple[str, bytes]]:
    """Return the headers without the two that a repartition has appended, if it has."""
    headers: Sequence[tuple[str, bytes]] = record.headers
    if headers[-1] == (names.MOVED, b"1") and _origin(dict(headers[-2:])):
        return headers[:-2]
    return headers


@lru_cache(maxsize=10_000)
def _reply_topic(value: bytes) -> tuple[str, bool]:
    topic = value.decode("utf-8", "replace")
    return topic, REPLY_TOPIC.fullmatch(topic) is not None


def _partition(value: bytes | None) -> tuple[int | None, str | None]:
    """Return the partition of a header, or its error.

    Four digits are parsed as text: as an int32 they would be above 800,000,000.
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


def deserialize(
    topic: Topic, record: ConsumerRecord, reply_context: ReplyContext, generation: int = 0
) -> Envelope:
    """Deserialize a record of a topic that was repartitioned so often.

    Raises:
        InvalidRecord: the record breaks the topic's contract; the text has the fields.
    """
    if len(record.value or b"") > MAX_VALUE:
        raise InvalidRecord(f"value: more than {MAX_VALUE} bytes")
    if reply_context.error is not None:
        raise InvalidRecord(reply_context.error)
    try:
        request = topic.decode(record.value or b"")
    except ValidationError as error:
        raise InvalidRecord(explain(topic, error, record.value or b"")) from None
    headers = dict(record.headers)
    if len(headers) < len(record.headers):
        _require_one_key(record.headers)
    origin = _origin(headers)
    cause = Cause(
        timestamp=_time(record.timestamp),
        origin=origin or identity(record, generation),
        idempotency_key=_idempotency_key(headers),
        headers=_extra(headers),
        is_first=origin is None or names.MOVED in headers,
    )
    return Envelope(request, cause, reply_context, topic.key_of(request))


def _time(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRecord("timestamp: out of range") from None


def _require_one_key(headers: Headers) -> None:
    """Raise InvalidRecord for different keys; of other headers the last one counts."""
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
    """Return the coordinates of the first record; None for a value that is not ours.

    Rows are keyed by the origin: a forged order id would match that order's reservation.
    """
    value = headers.get(names.ORIGIN) or b""
    return value.decode() if ORIGIN.fullmatch(value) else None


def _extra(headers: dict[str, bytes]) -> dict[str, str]:
    extra: dict[str, str] = {}
    for name in names.PROPAGATED:
        if (value := headers.get(name)) is not None:
            extra[name] = text = value.decode("latin-1")
            if PROPAGATED_TEXT.fullmatch(text) is None:
                raise InvalidRecord(f"{name}: not up to 256 visible ASCII characters")
    return extra
