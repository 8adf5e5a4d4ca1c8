"""Lists what we replace in aiokafka, and which of its inner names we use.

An upgrade of aiokafka is checked by `tests/contract/test_compat.py`: each row names an
object of the installed version and its signature. A row whose object changed fails there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import conn
from aiokafka.consumer import fetcher

from topics.kafka.connection import Connection
from topics.kafka.lenient_records import LenientRecords

NONE_FILED = "none filed"


class Replacement(NamedTuple):
    """A global of a foreign package that we set."""

    owner: Any
    name: str
    by: Any
    signature: str  # of the original, as far as Python has it
    why: str
    upstream: str = NONE_FILED  # the issue whose end makes this unnecessary


class InnerNames(NamedTuple):
    """Private or undocumented names of a foreign package that a file of ours uses."""

    file: str
    why: str
    objects: Mapping[str, str]  # signatures by `module:Class.name`; empty for an attribute
    upstream: str = NONE_FILED


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
)

_CONNECTION = "aiokafka.conn:AIOKafkaConnection"
_RECORD = "aiokafka.record"
_BATCH = f"{_RECORD}.default_records:_DefaultRecordBatchPy"
_RECORDS = f"{_RECORD}.memory_records:_MemoryRecordsPy"
_ASSIGNMENT = "aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment"

INNER_NAMES = (
    InnerNames(
        "topics/kafka/connection.py",
        "reports outages of a broker; see AIOKafkaConnection above",
        {
            f"{_CONNECTION}._handle_frame": "(self, resp)",
            f"{_CONNECTION}._request_timeout": "",
            f"{_CONNECTION}._requests": "",
            f"{_CONNECTION}._writer": "",
        },
        "aio-libs/aiokafka#1038",
    ),
    InnerNames(
        "topics/kafka/lenient_records.py",
        "decodes header names that are no UTF-8; see MemoryRecords above",
        {
            _BATCH: "(buffer)",
            f"{_BATCH}._buffer": "",
            f"{_BATCH}._maybe_uncompress": "(self)",
            _RECORDS: "(bytes_data)",
            f"{_RECORDS}._next_slice": "",
            f"{_RECORDS}.next_batch": "(self, _min_slice=26, _magic_offset=16)",
        },
    ),
    InnerNames(
        "topics/kafka/reader.py",
        "the admin client returns the assignments of members as bytes",
        {_ASSIGNMENT: "(*args, **kwargs)", f"{_ASSIGNMENT}.partitions": "(self)"},
    ),
    InnerNames(
        "topics/kafka/liveness.py",
        "a request that any broker answers, over a separate connection",
        {
            "aiokafka.protocol.metadata:MetadataRequest": (
                "(topics=None, allow_auto_topic_creation=None)"
            ),
        },
    ),
)


def apply(replacements: Iterable[Replacement] = REPLACEMENTS) -> None:
    """Set the globals that we replace; `KafkaSettings.client_options` does it."""
    for replacement in replacements:
        setattr(replacement.owner, replacement.name, replacement.by)
