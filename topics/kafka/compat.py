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
    """A global of a foreign package that we set.

    Attributes:
        owner: the module or class that has it.
        by: our object.
        signature: of the original, as far as Python knows it.
        upstream: the issue whose end would make this unnecessary.
    """

    owner: Any
    name: str
    by: Any
    signature: str
    why: str
    upstream: str = NONE_FILED


class InnerNames(NamedTuple):
    """Private or undocumented names of a foreign package that a file of ours uses.

    Attributes:
        objects: the signature of each `module:Class.name`; empty for an attribute.
        upstream: the issue whose end would make this unnecessary.
    """

    file: str
    why: str
    objects: Mapping[str, str]
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

_CLIENT = {
    "aiokafka.client:AIOKafkaClient.bootstrap": "(self)",
    "aiokafka.client:AIOKafkaClient.close": "(self)",
    "aiokafka.client:AIOKafkaClient.send": (
        "(self, node_id, request, *, group=<ConnectionGroup.DEFAULT: 0>)"
    ),
}
_METADATA = {
    "aiokafka.protocol.metadata:MetadataRequest": (
        "(topics=None, allow_auto_topic_creation=None)"
    ),
}

INNER_NAMES = (
    InnerNames(
        "topics/kafka/connection.py",
        "reports outages of a broker; see AIOKafkaConnection above",
        {
            "aiokafka.conn:AIOKafkaConnection._handle_frame": "(self, resp)",
            "aiokafka.conn:AIOKafkaConnection._last_action": "",
            "aiokafka.conn:AIOKafkaConnection._request_timeout": "",
            "aiokafka.conn:AIOKafkaConnection._requests": "",
            "aiokafka.conn:AIOKafkaConnection._writer": "",
        },
        "aio-libs/aiokafka#1038",
    ),
    InnerNames(
        "topics/kafka/lenient_records.py",
        "decodes header names that are no UTF-8; see MemoryRecords above",
        {
            "aiokafka.record.default_records:_DefaultRecordBatchPy": "(buffer)",
            "aiokafka.record.default_records:_DefaultRecordBatchPy._buffer": "",
            "aiokafka.record.default_records:_DefaultRecordBatchPy._maybe_uncompress": (
                "(self)"
            ),
            "aiokafka.record.memory_records:_MemoryRecordsPy": "(bytes_data)",
            "aiokafka.record.memory_records:_MemoryRecordsPy._next_slice": "",
            "aiokafka.record.memory_records:_MemoryRecordsPy.next_batch": (
                "(self, _min_slice=26, _magic_offset=16)"
            ),
        },
    ),
    InnerNames(
        "topics/kafka/reader.py",
        "the admin client returns the assignments of members as bytes",
        {
            "aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment": (
                "(*args, **kwargs)"
            ),
            "aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment.partitions": (
                "(self)"
            ),
        },
    ),
    InnerNames(
        "topics/kafka/answering.py",
        "a request that any broker answers, on a connection of its own",
        _METADATA,
    ),
    InnerNames(
        "gateway/kafka/broker_probe.py",
        "a request that any broker answers; the public clients have no ping",
        {
            **_CLIENT,
            **_METADATA,
            "aiokafka.client:AIOKafkaClient.get_random_node": "(self)",
        },
    ),
    InnerNames(
        "gateway/kafka/reply_consumer.py",
        "an unexpected error ends the fetch task of aiokafka's consumer without a log line",
        {
            **_CLIENT,
            "aiokafka.client:AIOKafkaClient.set_topics": "(self, topics)",
            "aiokafka.protocol.fetch:FetchRequest": (
                "(max_wait_time, min_bytes, max_bytes, isolation_level, topics, rack_id='')"
            ),
            "aiokafka.protocol.offset:OffsetRequest": (
                "(replica_id, isolation_level, topics)"
            ),
            "aiokafka.record.memory_records:MemoryRecords": "",
        },
    ),
)


def apply(replacements: Iterable[Replacement] = REPLACEMENTS) -> None:
    """Set the globals that we replace; applying them again changes nothing.

    `KafkaSettings.client_options` does it, so each client of the shop has them.
    """
    for replacement in replacements:
        setattr(replacement.owner, replacement.name, replacement.by)
