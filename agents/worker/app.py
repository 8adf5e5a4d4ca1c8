"""The Faust app of a service."""

import logging
import math
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import faust
from aiokafka.consumer import consumer, fetcher
from faust import SASLCredentials, SSLCredentials, stores
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from agents.runtime.fail_stop import PauseMonitor, fail_stop
from agents.runtime.producer import BatchingProducer, DeliveryFuture
from agents.worker.assignor import Assignor, RoundRobin
from agents.worker.consumer import Consumer
from agents.worker.fetcher import YieldingFetcher
from agents.worker.settings import WorkerSettings
from agents.worker.startup import wait_for_kafka
from agents.worker.tables import StateStoreAdapter, TableManager
from topics.kafka.lenient_records import LenientRecords

MAX_BATCH_BYTES = 900 * 2**10
MAX_REQUEST_BYTES = 3 * 2**20
POLL_RECORDS = 500
"""At 50 µs a record a batch takes at most 25 ms: heartbeats share its loop."""

MAX_POLL_SECONDS = 2_000_000.0
"""In effect never: a worker that has nothing to fetch, or waits for room, stays a member.

Its heartbeats come from the same loop, so they tell whether it lives."""

QUEUED_BATCHES = 8
COMMIT_SECONDS = 0.25
FETCH_MAX_WAIT_MS = 50

HEARTBEAT_RATIO = 1 / 10
MAX_PAUSE_RATIO = 2 / 3
"""Of the session timeout. A pause, with the heartbeat that it held up, ends well within it;
a shorter one would cost more workers on a busy machine than it saves doubts."""

METADATA_MAX_AGE_MS = 5000
"""A moved leader is found soon; stale metadata costs minutes (T16, T17)."""

REQUEST_SECONDS = 5.0
"""A frozen broker answers nothing and closes nothing; after so long, another is asked."""

log = logging.getLogger(__name__)


class Producer(driver.Producer):
    """Idempotent and acknowledged by all replicas (T7)."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        """Return one that sends for ever what it was given, as nothing else can be done."""
        producer = super()._new_producer(transactional_id)
        # It would give up where there is no leader for as long as one request may take.
        producer._message_accumulator._batch_ttl = math.inf
        return producer

    async def flush(self) -> None:
        """Do nothing: a batch is committed when all it caused is acknowledged."""


class App(faust.App):
    """A Faust app that would rather die than lose a record.

    Attributes:
        heart: beats from the start on, also through a long recovery.
        press: sends the worker's records; one that can't be sent ends the worker (T5).
    """

    pause_monitor: PauseMonitor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._revocation_listeners: list[Callable[[], Awaitable[None]]] = []
        self.batching_producer = BatchingProducer(
            lambda: self.producer._producer, _on_delivery
        )
        super().__init__(*args, **kwargs)

    def add_revocation_listener(self, do: Callable[[], Awaitable[None]]) -> None:
        """Have something done before partitions are given back."""
        self._revocation_listeners.append(do)

    async def partitions_revoked(self) -> None:
        """Do it."""
        for do in self._revocation_listeners:
            await do()

    @faust.Service.task
    async def _monitor_pauses(self) -> None:
        # An app.task() would begin when the tables are recovered, and find that too late.
        await self.pause_monitor.run()

    async def on_first_start(self) -> None:
        """Wait for Kafka: a worker that is there first is no reason to start again."""
        self.conf.cluster_id = await wait_for_kafka(self.conf.cluster)
        await super().on_first_start()

    async def on_stop(self) -> None:
        """Stop when all that was begun is acknowledged."""
        await self.partitions_revoked()
        await super().on_stop()

    def _crash(self, reason: BaseException) -> NoReturn:
        """Stop at once, whichever part it was that crashed (R3)."""
        fail_stop("crashed: %r", reason)

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> NoReturn:
        """Stop before anything is committed (T6)."""
        text = "".join(traceback.format_exception(exc))
        fail_stop("agent %s raised %r\n%s", agent.name, exc, text)


def _on_delivery(delivery: DeliveryFuture) -> None:
    if delivery.cancelled() or delivery.exception() is not None:
        fail_stop(
            "not sent: %r", "cancelled" if delivery.cancelled() else delivery.exception()
        )


def create_app(service: str, settings: WorkerSettings) -> App:
    """Make the app of a service; its consumer group is named after it."""
    stores.STORES.aliases["rows"] = (
        f"{StateStoreAdapter.__module__}:{StateStoreAdapter.__name__}"
    )
    driver.Transport.Consumer = Consumer
    driver.Transport.Producer = Producer
    driver.RoundRobinPartitionAssignor = RoundRobin
    fetcher.MemoryRecords = LenientRecords
    consumer.Fetcher = YieldingFetcher
    session = settings.session_timeout.total_seconds()
    app = App(
        service,
        broker=[URL(f"kafka://{address}") for address in settings.kafka.split(",")],
        broker_credentials=_credentials(settings),
        PartitionAssignor=Assignor,
        TableManager=TableManager,
        store="rows://",
        datadir=settings.state_dir,
        processing_guarantee="at_least_once",
        topic_partitions=settings.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.worker,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        producer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        producer_max_batch_size=MAX_BATCH_BYTES,
        producer_max_request_size=MAX_REQUEST_BYTES,
        producer_linger=0,
        producer_request_timeout=REQUEST_SECONDS,
        broker_session_timeout=session,
        broker_heartbeat_interval=session * HEARTBEAT_RATIO,
        broker_rebalance_timeout=session * 2,
        # Whoever joins a group hears nothing until all have, or had the time to.
        broker_request_timeout=REQUEST_SECONDS + session * 2,
        broker_max_poll_records=POLL_RECORDS,
        broker_max_poll_interval=MAX_POLL_SECONDS,
        broker_commit_interval=COMMIT_SECONDS,
        stream_buffer_maxsize=QUEUED_BATCHES,
        stream_wait_empty=True,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.pause_monitor = PauseMonitor(settings.session_timeout * MAX_PAUSE_RATIO)
    app.conf.cluster = settings
    app.conf.state_dir = settings.state_dir
    app.conf.fetch_max_wait_ms = FETCH_MAX_WAIT_MS
    return app


def _credentials(settings: WorkerSettings) -> SSLCredentials | SASLCredentials | None:
    options = settings.client_options()
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
