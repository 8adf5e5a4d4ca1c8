"""Fetch and produce messages of Kafka's protocol, packed and unpacked in one pass.

aiokafka calls a method for each field. With many partitions and few records in each, that
costs more than the records. The formats are Kafka's Fetch v11 and Produce v8.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from struct import Struct
from typing import Any, ClassVar, NamedTuple, Self

from aiokafka.errors import IncompatibleBrokerVersion

_INT16, _INT32, _INT64 = Struct(">h"), Struct(">i"), Struct(">q")
_HEADER = Struct(">hhi")
_FETCH = Struct(">iiiibii")
_FETCH_PARTITION = Struct(">iiqqi")
_FETCH_RESPONSE = Struct(">ihii")
_FETCHED = Struct(">ihqqqi")
_FETCHED_RECORDS = Struct(">ii")
_ABORTED = Struct(">qq")
_PRODUCE = Struct(">hhi")
_PRODUCED = Struct(">ihqqqi")

NO_SESSION = 0, -1

Topics = list[tuple[str, list[tuple[Any, ...]]]]


class _Encoded(NamedTuple):
    """Bytes, as aiokafka's connection encodes them."""

    value: bytes

    def encode(self) -> bytes:
        """Return the bytes."""
        return self.value


class _ResponseHeader(NamedTuple):
    correlation_id: int


class Message:
    """A request: to aiokafka its builder, its structure, and the type of its response."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Self:
        """Return the message, if the broker's versions include it.

        Raises:
            IncompatibleBrokerVersion: they do not.
        """
        lowest, highest = versions.get(self.API_KEY, (0, -1))
        if not lowest <= self.API_VERSION <= highest:
            text = f"{type(self).__name__}: version {self.API_VERSION} is not supported"
            raise IncompatibleBrokerVersion(text)
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Encoded:
        """Return the header."""
        numbers = _HEADER.pack(self.API_KEY, self.API_VERSION, correlation_id)
        return _Encoded(numbers + _text(client_id))

    def parse_response_header(self, response: BytesIO) -> _ResponseHeader:
        """Read the header of the response."""
        return _ResponseHeader(*_INT32.unpack(response.read(_INT32.size)))

    @property
    def RESPONSE_TYPE(self) -> Self:  # noqa: N802 -- aiokafka's name
        """The message itself: it decodes its response."""
        return self


class FetchRequest(Message):
    """A fetch within a session (KIP-227), or without one.

    Args:
        session: its id and its epoch, 0 and 0 of a new one; or `NO_SESSION`.
        topics: the partitions to fetch by topic: number, offset, most bytes.
        removed: the partitions that leave the session.
    """

    API_KEY = 1
    API_VERSION = 11

    def __init__(
        self,
        limits: tuple[int, int, int, int],
        session: tuple[int, int],
        topics: Mapping[str, list[tuple[int, int, int]]],
        removed: Mapping[str, list[int]],
    ) -> None:
        self._limits = limits
        self._session = session
        self._topics = topics
        self._removed = removed

    def encode(self) -> bytes:
        """Return the request."""
        max_wait_ms, min_bytes, max_bytes, isolation = self._limits
        parts = [
            _FETCH.pack(-1, max_wait_ms, min_bytes, max_bytes, isolation, *self._session),
            _INT32.pack(len(self._topics)),
        ]
        for topic, partitions in self._topics.items():
            parts += _text(topic), _INT32.pack(len(partitions))
            parts += [
                _FETCH_PARTITION.pack(number, -1, offset, -1, most)
                for number, offset, most in partitions
            ]
        parts.append(_INT32.pack(len(self._removed)))
        for topic, numbers in self._removed.items():
            parts += _text(topic), _INT32.pack(len(numbers)), *map(_INT32.pack, numbers)
        parts.append(_text(""))  # no rack
        return b"".join(parts)

    @staticmethod
    def decode(response: BytesIO) -> "FetchResponse":
        """Read the response."""
        data = response.read()
        _, error, session, count = _FETCH_RESPONSE.unpack_from(data)
        topics: Topics = []
        at = _FETCH_RESPONSE.size
        for _ in range(count):
            topic, number, at = _read_topic(data, at)
            partitions: list[tuple[Any, ...]] = []
            for _ in range(number):
                *fields, transactions = _FETCHED.unpack_from(data, at)
                at += _FETCHED.size
                aborted = []
                if transactions > 0:
                    end = at + transactions * _ABORTED.size
                    aborted = [*_ABORTED.iter_unpack(data[at:end])]
                    at = end
                replica, size = _FETCHED_RECORDS.unpack_from(data, at)
                at += _FETCHED_RECORDS.size
                end = at + size if size > 0 else at
                partitions.append((*fields, aborted, replica, data[at:end]))
                at = end
            topics.append((topic, partitions))
        return FetchResponse(error, session, topics)


class FetchResponse(NamedTuple):
    """A response: an error code of the session, its id, and the partitions by topic."""

    error: int
    session: int
    topics: Topics

    @property
    def API_VERSION(self) -> int:  # noqa: N802 -- aiokafka's name
        """The version of the response."""
        return FetchRequest.API_VERSION


class ProduceRequest(Message):
    """Record batches by topic and partition; the arguments are aiokafka's."""

    API_KEY = 0
    API_VERSION = 8

    def __init__(
        self,
        transactional_id: str | None,
        required_acks: int,
        timeout: int,
        topics: Iterable[tuple[str, list[tuple[int, bytes]]]],
    ) -> None:
        if transactional_id is not None:
            raise ValueError("transactions are not supported")
        self.required_acks = required_acks
        self._timeout = timeout
        self._topics = list(topics)

    def encode(self) -> bytes:
        """Return the request."""
        parts: list[Any] = [
            _PRODUCE.pack(-1, self.required_acks, self._timeout),
            _INT32.pack(len(self._topics)),
        ]
        for topic, partitions in self._topics:
            parts += _text(topic), _INT32.pack(len(partitions))
            for number, batch in partitions:
                parts += _FETCHED_RECORDS.pack(number, len(batch)), batch
        return b"".join(parts)

    @staticmethod
    def decode(response: BytesIO) -> "ProduceResponse":
        """Read the response."""
        data = response.read()
        topics: Topics = []
        [count], at = _INT32.unpack_from(data), _INT32.size
        for _ in range(count):
            topic, number, at = _read_topic(data, at)
            partitions: list[tuple[Any, ...]] = []
            for _ in range(number):
                *fields, errors = _PRODUCED.unpack_from(data, at)
                at += _PRODUCED.size
                for _ in range(errors):
                    _, at = _read_text(data, at + _INT32.size)
                text, at = _read_text(data, at)
                partitions.append((*fields, None, text))
            topics.append((topic, partitions))
        return ProduceResponse(topics)


class ProduceResponse(NamedTuple):
    """A response: the partitions by topic."""

    topics: Topics

    @property
    def API_VERSION(self) -> int:  # noqa: N802 -- aiokafka's name
        """The version of the response."""
        return ProduceRequest.API_VERSION


@lru_cache(maxsize=1000)
def _text(value: str) -> bytes:
    encoded = value.encode()
    return _INT16.pack(len(encoded)) + encoded


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text, empty for a null, and the position behind it."""
    [size] = _INT16.unpack_from(data, at)
    begin = at + _INT16.size
    end = begin + size if size > 0 else begin
    return data[begin:end].decode(), end


def _read_topic(data: bytes, at: int) -> tuple[str, int, int]:
    """Return a topic, its number of partitions, and the position behind these."""
    topic, at = _read_text(data, at)
    [number] = _INT32.unpack_from(data, at)
    return topic, number, at + _INT32.size
