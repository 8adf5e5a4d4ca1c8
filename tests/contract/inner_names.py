"""Private and undocumented names of aiokafka that topics and gateway use."""

from topics.kafka.compat import InnerNames

_CONNECTION = "aiokafka.conn:AIOKafkaConnection"
_CLIENT = "aiokafka.client:AIOKafkaClient"
_PROTOCOL = "aiokafka.protocol"
_RECORD = "aiokafka.record"
_BATCH = f"{_RECORD}.default_records:_DefaultRecordBatchPy"
_RECORDS = f"{_RECORD}.memory_records:_MemoryRecordsPy"
_ASSIGNMENT = "aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment"

_METADATA = {
    f"{_PROTOCOL}.metadata:MetadataRequest": "(topics=None, allow_auto_topic_creation=None)"
}
_REQUESTS = {
    f"{_CLIENT}.bootstrap": "(self)",
    f"{_CLIENT}.close": "(self)",
    f"{_CLIENT}.send": "(self, node_id, request, *, group=<ConnectionGroup.DEFAULT: 0>)",
}

AIOKAFKA = (
    InnerNames(
        "topics/kafka/connection.py",
        "reports outages of a broker; see its replacement in `compat`",
        {
            f"{_CONNECTION}._handle_frame": "(self, resp)",
            f"{_CONNECTION}._request_timeout": "",
            f"{_CONNECTION}._requests": "",
            f"{_CONNECTION}._writer": "",
        },
        "aio-libs/aiokafka#1038",
    ),
    InnerNames(
        "topics/kafka/compat.py",
        "decodes header names that are no UTF-8; see its replacement of MemoryRecords",
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
        _METADATA,
    ),
    InnerNames(
        "gateway/kafka/broker_probe.py",
        "a request that any broker answers; the public clients have no ping",
        {**_REQUESTS, **_METADATA, f"{_CLIENT}.get_random_node": "(self)"},
    ),
    InnerNames(
        "gateway/kafka/reply_consumer.py",
        "an unexpected error ends the fetch task of aiokafka's consumer without a log line",
        {
            **_REQUESTS,
            f"{_CLIENT}.set_topics": "(self, topics)",
            f"{_PROTOCOL}.fetch:FetchRequest": (
                "(max_wait_time, min_bytes, max_bytes, isolation_level, topics, rack_id='')"
            ),
            f"{_PROTOCOL}.offset:OffsetRequest": "(replica_id, isolation_level, topics)",
            f"{_RECORD}.memory_records:MemoryRecords": "",
        },
    ),
)
