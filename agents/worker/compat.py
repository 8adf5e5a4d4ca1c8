"""Lists what we replace in Faust, and in aiokafka for workers only.

`tests/contract/test_compat.py` holds the table against the installed versions.
"""

from aiokafka.consumer import consumer
from faust import stores
from faust.transport.drivers import aiokafka as driver

from agents.worker.clients import Producer
from agents.worker.consumer import Consumer
from agents.worker.coordinator import GroupCoordinator, SubscriptionState
from agents.worker.fetcher import SessionFetcher
from agents.worker.tables import StateStoreAdapter
from topics.kafka import compat
from topics.kafka.compat import Replacement

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
        SessionFetcher,
        "(client, subscriptions, *, key_deserializer=None, value_deserializer=None,"
        " fetch_min_bytes=1, fetch_max_bytes=52428800, fetch_max_wait_ms=500,"
        " max_partition_fetch_bytes=1048576, check_crcs=True, fetcher_timeout=0.2,"
        " prefetch_backoff=0.1, retry_backoff_ms=100, auto_offset_reset='latest',"
        " isolation_level='read_uncommitted', client_rack=None)",
        "a fetch named all partitions, and building it delayed replies to present records",
    ),
)


def apply() -> None:
    """Set the globals that we replace, aiokafka's too; again, that changes nothing."""
    store = f"{StateStoreAdapter.__module__}:{StateStoreAdapter.__name__}"
    stores.STORES.aliases[STORE] = store
    compat.apply()
    compat.apply(REPLACEMENTS)
