"""Private and undocumented names of foreign packages that files of the product use."""

from collections.abc import Mapping
from typing import NamedTuple

from topics.kafka.compat import NONE_FILED


class InnerNames(NamedTuple):
    """Private or undocumented names of a foreign package that a file of ours uses."""

    file: str
    why: str
    objects: Mapping[str, str]  # signatures by `module:Class.name`; empty for an attribute
    upstream: str = NONE_FILED


_CONNECTION = "aiokafka.conn:AIOKafkaConnection"
_CLIENT = "aiokafka.client:AIOKafkaClient"
_PROTOCOL = "aiokafka.protocol"
_RECORD = "aiokafka.record"
_BATCH = f"{_RECORD}.default_records:_DefaultRecordBatchPy"
_RECORDS = f"{_RECORD}.memory_records:_MemoryRecordsPy"
_FETCHER = "aiokafka.consumer.fetcher:Fetcher"
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
        "sends requests and reports outages; see its replacement in `compat`",
        {
            f"{_CONNECTION}._client_id": "",
            f"{_CONNECTION}._handle_frame": "(self, resp)",
            f"{_CONNECTION}._loop": "",
            f"{_CONNECTION}._next_correlation_id": "(self)",
            f"{_CONNECTION}._protocol": "",
            f"{_CONNECTION}._read_task": "",
            f"{_CONNECTION}._request_timeout": "",
            f"{_CONNECTION}._requests": "",
            f"{_CONNECTION}._versions": "",
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
        "topics/kafka/topic_admin.py",
        "the admin client asks any broker for metadata, not a certain one",
        {
            **_METADATA,
            "aiokafka.admin.client:AIOKafkaAdminClient._send_request": (
                "(self, request, node_id=None)"
            ),
        },
    ),
    InnerNames(
        "topics/kafka/liveness.py",
        "a request that any broker answers, over a separate connection",
        _METADATA,
    ),
    InnerNames(
        "topics/grants.py",
        "the admin client has no ACLs",
        {
            **_REQUESTS,
            f"{_CLIENT}.get_random_node": "(self)",
            f"{_PROTOCOL}.admin:CreateAclsRequest": (
                "(resource_type, resource_name, resource_pattern_type_filter, principal,"
                " host, operation, permission_type)"
            ),
        },
    ),
)

_DRIVER = "faust.transport.drivers.aiokafka"
_ACCUMULATOR = "aiokafka.producer.message_accumulator"
_COORDINATOR = "aiokafka.consumer.group_coordinator:GroupCoordinator"
_PROTOCOL = "aiokafka.coordinator.protocol"
_SUBSCRIPTION = "aiokafka.consumer.subscription_state"

WORKER = (
    InnerNames(
        "agents/runtime/producer.py",
        "`producer.send` costs a coroutine and a future for each record",
        {
            "aiokafka.producer:AIOKafkaProducer._message_accumulator": "",
            f"{_ACCUMULATOR}:MessageAccumulator._append_batch": "(self, builder, tp)",
            f"{_ACCUMULATOR}:MessageAccumulator._batches": "",
            f"{_ACCUMULATOR}:MessageAccumulator._exception": "",
            f"{_ACCUMULATOR}:MessageBatch._builder": "",
            f"{_ACCUMULATOR}:BatchBuilder.append": (
                "(self, *, timestamp, key, value, headers=[])"
            ),
        },
    ),
    InnerNames(
        "agents/worker/app.py",
        "a crashed agent or service left the process running",
        {
            "faust.app.base:App._crash": "(self, reason)",
            "faust.app.base:App._on_agent_error": "(self, agent, exc)",
            f"{_DRIVER}:Producer._producer": "",
        },
        "robinhood/faust#301",
    ),
    InnerNames(
        "agents/worker/assignor.py",
        "Faust's assignor moves partitions to members whose rows are cold",
        {
            f"{_PROTOCOL}:ConsumerProtocolMemberAssignment": "(*args, **kwargs)",
            f"{_PROTOCOL}:ConsumerProtocolMemberMetadata": "(*args, **kwargs)",
        },
    ),
    InnerNames(
        "agents/worker/consumer.py",
        "the commits and the rebalances are replaced; see Consumer in `compat`",
        {
            f"{_DRIVER}:Consumer._buffered_partitions": "",
            f"{_DRIVER}:Consumer._commit": "(self, offsets)",
            f"{_DRIVER}:Consumer._thread": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._ensure_consumer": "(self)",
            "aiokafka.consumer:AIOKafkaConsumer._coordinator": "",
            f"{_COORDINATOR}.commit_offsets": "(self, assignment, offsets)",
            f"{_COORDINATOR}.fetch_committed_offsets": "(self, partitions)",
            f"{_COORDINATOR}.request_rejoin": "(self)",
        },
        "faust-streaming/faust#221, #606",
    ),
    InnerNames(
        "agents/worker/delivery.py",
        "the drain loop is replaced; see Consumer in `compat`",
        {
            f"{_DRIVER}:Consumer._buffered_partitions": "",
            f"{_DRIVER}:Consumer._drain_messages": "(self, fetcher)",
            f"{_DRIVER}:Consumer._new_consumer_thread": "(self)",
            f"{_DRIVER}:Consumer._stopped": "",
            f"{_DRIVER}:Consumer._thread": "",
            f"{_DRIVER}:Consumer._to_message": "(self, tp, record)",
            f"{_DRIVER}:Consumer._unacked_messages": "",
            f"{_DRIVER}:Consumer._waiting_for_ack": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._ensure_consumer": "(self)",
            "aiokafka.consumer:AIOKafkaConsumer._closed": "",
            "aiokafka.consumer:AIOKafkaConsumer._fetcher": "",
            "aiokafka.consumer:AIOKafkaConsumer._max_poll_records": "",
            "faust.transport.conductor:Conductor._tp_index": "",
        },
        "faust-streaming/faust#221, #606",
    ),
    InnerNames(
        "agents/worker/coordinator.py",
        "cooperative rebalancing; see GroupCoordinator and SubscriptionState above",
        {
            f"{_COORDINATOR}._commit_lock": "",
            f"{_COORDINATOR}._do_rejoin_group": "(self, subscription)",
            f"{_COORDINATOR}._maybe_leave_group": "(self)",
            f"{_COORDINATOR}._on_join_complete": (
                "(self, generation, member_id, protocol, member_assignment_bytes)"
            ),
            f"{_COORDINATOR}._on_join_prepare": "(self, previous_assignment)",
            f"{_COORDINATOR}._performed_join_prepare": "",
            f"{_COORDINATOR}._rejoin_needed_fut": "",
            f"{_COORDINATOR}._send_req": "(self, request)",
            f"{_COORDINATOR}._start_heartbeat_task": "(self)",
            f"{_COORDINATOR}._subscription": "",
            f"{_COORDINATOR}.reset_generation": "(self)",
            f"{_SUBSCRIPTION}:Assignment._tp_state": "",
            f"{_SUBSCRIPTION}:SubscriptionState.assign_from_subscribed": (
                "(self, assignment)"
            ),
            f"{_SUBSCRIPTION}:TopicPartitionState._assignment": "",
            "aiokafka.protocol.group:LeaveGroupRequest": "(group, member_id)",
        },
        "aio-libs/aiokafka#1015",
    ),
    InnerNames(
        "agents/worker/clients.py",
        "a thread for the consumer halves the throughput; errors of the group, and waits"
        " of a fetch, cannot be set; see Fetcher and Producer above",
        {
            f"{_DRIVER}:AIOKafkaConsumerThread._consumer": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._create_worker_consumer": (
                "(self, transport)"
            ),
            f"{_DRIVER}:AIOKafkaConsumerThread._gather_remaining_tasks": "(self)",
            f"{_DRIVER}:AIOKafkaConsumerThread._serve": "(self)",
            f"{_DRIVER}:AIOKafkaConsumerThread._started": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._thread_running": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._thread_started": "",
            f"{_DRIVER}:Producer._new_producer": "(self, transactional_id=None)",
            f"{_DRIVER}:Producer._settings_extra": "(self)",
            "aiokafka.consumer:AIOKafkaConsumer._coordinator": "",
            "aiokafka.consumer:AIOKafkaConsumer._fetch_max_wait_ms": "",
            "aiokafka.consumer:AIOKafkaConsumer._fetcher": "",
            "aiokafka.consumer:AIOKafkaConsumer._partition_assignment_strategy": "",
            "aiokafka.consumer.group_coordinator:GroupCoordinator._push_error_to_user": (
                "(self, exc)"
            ),
            "aiokafka.producer:AIOKafkaProducer._message_accumulator": "",
            f"{_ACCUMULATOR}:MessageAccumulator._batch_ttl": "",
        },
        "aio-libs/aiokafka#197",
    ),
    InnerNames(
        "agents/worker/fetcher.py",
        "fetches name all partitions; see the replacement of Fetcher",
        {
            f"{_FETCHER}._client": "",
            f"{_FETCHER}._create_fetch_waiter": "(self)",
            f"{_FETCHER}._fetch_max_bytes": "",
            f"{_FETCHER}._fetch_max_wait_ms": "",
            f"{_FETCHER}._fetch_min_bytes": "",
            f"{_FETCHER}._fetcher_timeout": "",
            f"{_FETCHER}._get_actions_per_node": "(self, assignment)",
            f"{_FETCHER}._in_flight": "",
            f"{_FETCHER}._isolation_level": "",
            f"{_FETCHER}._loop": "",
            f"{_FETCHER}._max_partition_fetch_bytes": "",
            f"{_FETCHER}._notify": "(self, future)",
            f"{_FETCHER}._proc_fetch_request": "(self, assignment, node_id, request)",
            f"{_FETCHER}._records": "",
            f"{_SUBSCRIPTION}:Assignment._tp_state": "",
            f"{_SUBSCRIPTION}:TopicPartitionState._paused": "",
            f"{_SUBSCRIPTION}:TopicPartitionState._position": "",
        },
    ),
    InnerNames(
        "agents/worker/service.py",
        "mode waits a second when a worker stops",
        {"faust.worker:Worker._sentinel_task": "(self)"},
    ),
    InnerNames(
        "agents/worker/tables.py",
        "Faust's recovery skips records, and its table manager waits a second",
        {
            "faust.tables.manager:TableManager._recovery": "",
            "faust.tables.manager:TableManager._tables_registered": "",
        },
        "faust-streaming/faust#216, #596",
    ),
    InnerNames(
        "agents/worker/tasks.py",
        "Faust's recovery starts the fetcher of the records",
        {"faust.app.base:App._fetcher": ""},
        "faust-streaming/faust#216, #596",
    ),
)

_HANDLER = "aiohttp.web_protocol:RequestHandler"

GATEWAY = (
    InnerNames(
        "gateway/server.py",
        "a client that closes its sending side still reads; aiohttp drops its response",
        {
            f"{_HANDLER}._close": "",
            f"{_HANDLER}._keepalive_timeout": "",
            f"{_HANDLER}._messages": "",
            f"{_HANDLER}._request_count": "",
        },
        "aio-libs/aiohttp#3659",
    ),
    InnerNames(
        "gateway/reply_consumer.py",
        "an unexpected error ends the fetch task of aiokafka's consumer without a log line",
        {
            f"{_CLIENT}.bootstrap": "(self)",
            f"{_CLIENT}.close": "(self)",
            f"{_CLIENT}.send": (
                "(self, node_id, request, *, group=<ConnectionGroup.DEFAULT: 0>)"
            ),
            f"{_CLIENT}.set_topics": "(self, topics)",
            "aiokafka.protocol.offset:OffsetRequest": (
                "(replica_id, isolation_level, topics)"
            ),
            "aiokafka.record.memory_records:MemoryRecords": "",
        },
    ),
)
INNER_NAMES = (*AIOKAFKA, *WORKER, *GATEWAY)
