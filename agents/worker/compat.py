"""Lists what we replace in Faust, and which private names of Faust the workers use.

`tests/contract/test_compat.py` holds these tables against the installed versions.
"""

from aiokafka.consumer import consumer
from faust import stores
from faust.transport.drivers import aiokafka as driver

from agents.worker.clients import Producer, YieldingFetcher
from agents.worker.consumer import Consumer
from agents.worker.coordinator import GroupCoordinator, SubscriptionState
from agents.worker.tables import StateStoreAdapter
from topics.kafka import compat
from topics.kafka.compat import InnerNames, Replacement

STORE = "rows"  # the scheme of our store's address
REPLACEMENTS = (
    Replacement(
        driver.Transport,
        "Consumer",
        Consumer,
        "(*args, **kwargs)",
        "records fetched before a seek were delivered after it, and unprocessed records"
        " were committed",
        "faust-streaming/faust#221, #606",
    ),
    Replacement(
        driver.Transport,
        "Producer",
        Producer,
        "(transport, loop=None, **kwargs)",
        "a partition without a leader failed its records after one request",
        "aio-libs/aiokafka#197",
    ),
    Replacement(
        consumer,
        "GroupCoordinator",
        GroupCoordinator,
        "(client, subscription, *, group_id='aiokafka-default-group',"
        " group_instance_id=None, session_timeout_ms=10000, heartbeat_interval_ms=3000,"
        " retry_backoff_ms=100, enable_auto_commit=True, auto_commit_interval_ms=5000,"
        " assignors=(<class 'aiokafka.coordinator.assignors.roundrobin."
        "RoundRobinPartitionAssignor'>,), exclude_internal_topics=True,"
        " max_poll_interval_ms=300000, rebalance_timeout_ms=30000)",
        "a rebalance stopped all partitions, and a static member could not leave",
    ),
    Replacement(
        consumer,
        "SubscriptionState",
        SubscriptionState,
        "(loop=None)",
        "a rebalance forgot the positions of partitions that stayed",
    ),
    Replacement(
        consumer,
        "Fetcher",
        YieldingFetcher,
        "(client, subscriptions, *, key_deserializer=None, value_deserializer=None,"
        " fetch_min_bytes=1, fetch_max_bytes=52428800, fetch_max_wait_ms=500,"
        " max_partition_fetch_bytes=1048576, check_crcs=True, fetcher_timeout=0.2,"
        " prefetch_backoff=0.1, retry_backoff_ms=100, auto_offset_reset='latest',"
        " isolation_level='read_uncommitted', client_rack=None)",
        "building the next fetch delayed the replies to the present records",
    ),
)

_DRIVER = "faust.transport.drivers.aiokafka"
_ACCUMULATOR = "aiokafka.producer.message_accumulator"
_COORDINATOR = "aiokafka.consumer.group_coordinator:GroupCoordinator"
_PROTOCOL = "aiokafka.coordinator.protocol"
_SUBSCRIPTION = "aiokafka.consumer.subscription_state"

INNER_NAMES = (
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
        "the drain loop, the commits and the rebalances are replaced; see Consumer above",
        {
            f"{_DRIVER}:Consumer._buffered_partitions": "",
            f"{_DRIVER}:Consumer._commit": "(self, offsets)",
            f"{_DRIVER}:Consumer._drain_messages": "(self, fetcher)",
            f"{_DRIVER}:Consumer._getmany": "(self, active_partitions, timeout)",
            f"{_DRIVER}:Consumer._new_consumer_thread": "(self)",
            f"{_DRIVER}:Consumer._stopped": "",
            f"{_DRIVER}:Consumer._thread": "",
            f"{_DRIVER}:Consumer._to_message": "(self, tp, record)",
            f"{_DRIVER}:Consumer._unacked_messages": "",
            f"{_DRIVER}:Consumer._waiting_for_ack": "",
            f"{_DRIVER}:AIOKafkaConsumerThread._ensure_consumer": "(self)",
            "aiokafka.consumer:AIOKafkaConsumer._coordinator": "",
            f"{_COORDINATOR}.commit_offsets": "(self, assignment, offsets)",
            f"{_COORDINATOR}.fetch_committed_offsets": "(self, partitions)",
            f"{_COORDINATOR}.request_rejoin": "(self)",
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
            "aiokafka.consumer:AIOKafkaConsumer._partition_assignment_strategy": "",
            "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request": (
                "(self, assignment, node_id, request)"
            ),
            "aiokafka.consumer.group_coordinator:GroupCoordinator._push_error_to_user": (
                "(self, exc)"
            ),
            "aiokafka.producer:AIOKafkaProducer._message_accumulator": "",
            f"{_ACCUMULATOR}:MessageAccumulator._batch_ttl": "",
        },
        "aio-libs/aiokafka#197",
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


def apply() -> None:
    """Set the globals that we replace, aiokafka's too; again, that changes nothing."""
    store = f"{StateStoreAdapter.__module__}:{StateStoreAdapter.__name__}"
    stores.STORES.aliases[STORE] = store
    compat.apply()
    compat.apply(REPLACEMENTS)
