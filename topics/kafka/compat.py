"""What we replace in aiokafka.

`tests/contract/test_compat.py` compares the rows with the installed version, and those of
`tests/contract/inner_names.py`: the inner names of aiokafka that we use. A row whose object
changed fails there after an upgrade.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import conn
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from topics.kafka import wire
from topics.kafka.connection import Connection

NONE_FILED = "none filed"


class Replacement(NamedTuple):
    """A global of a foreign package that we set."""

    owner: Any
    name: str
    by: Any
    signature: str  # of the original, as far as Python has it
    why: str
    upstream: str = NONE_FILED  # the issue whose end makes this unnecessary


class LenientRecords(_MemoryRecordsPy):
    """Fetched bytes as record batches; escapes header names that are no UTF-8.

    Brokers accept any bytes as a header's name. aiokafka decodes it as UTF-8, and its error
    ends each fetch at the same offset. So one such record would stop its partition.
    """

    def next_batch(self, *_: Any) -> Any:
        """Return the next batch; None at the end."""
        piece = self._next_slice
        batch = super().next_batch()
        return batch if batch is None else _LenientBatch(batch, piece)


class _LenientBatch:
    """A batch that is decoded again, slowly, where the usual decoder fails."""

    def __init__(self, batch: Any, piece: memoryview) -> None:
        self._batch = batch
        self._piece = piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        # aiokafka reads the marker of a transaction so, if only committed records count.
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except UnicodeDecodeError:
            batch = _DefaultRecordBatchPy(self._piece)
            batch._maybe_uncompress()
            batch._buffer = _LenientBytes(batch._buffer)
            yield from islice(batch, read, None)


class _LenientBytes(bytearray):
    """Bytes whose decoding escapes invalid UTF-8."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _LenientBytes(part) if isinstance(where, slice) else part

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")


REPLACEMENTS = (
    Replacement(
        fetcher,
        "MemoryRecords",
        LenientRecords,
        "",
        "a header name that is no UTF-8 ends each fetch, and stops its partition",
    ),
    Replacement(
        conn,
        "AIOKafkaConnection",
        Connection,
        "(host, port, *, client_id='aiokafka', request_timeout_ms=40000, ssl_context=None,"
        " security_protocol='PLAINTEXT', max_idle_ms=None, on_close=None,"
        " sasl_mechanism=None, sasl_plain_password=None, sasl_plain_username=None,"
        " sasl_kerberos_service_name='kafka', sasl_kerberos_domain_name=None,"
        " sasl_oauth_token_provider=None)",
        "uvloop raises a RuntimeError on a closed connection, which ends aiokafka's tasks;"
        " a close behind TLS waits 30 s",
        "aio-libs/aiokafka#1038",
    ),
    Replacement(
        sender,
        "ProduceRequest",
        wire.ProduceRequest,
        "(transactional_id, required_acks, timeout, topics)",
        "a request cost more than its records where each partition has few",
    ),
)


def apply(replacements: Iterable[Replacement] = REPLACEMENTS) -> None:
    """Set the globals that we replace; `KafkaSettings.client_options` does it."""
    for replacement in replacements:
        setattr(replacement.owner, replacement.name, replacement.by)
