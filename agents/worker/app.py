"""The Faust app of a service."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NoReturn

import faust
from faust import SASLCredentials, SSLCredentials
from yarl import URL

from agents.runtime.client_replies import ClientReplyProducer
from agents.runtime.fail_stop import PauseMonitor, fail_stop
from agents.runtime.producer import BatchingProducer, DeliveryFuture
from agents.worker import compat
from agents.worker.assignor import Assignor
from agents.worker.settings import WorkerSettings
from agents.worker.tables import TableManager
from topics.admin import cluster_id, partition_drift
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicsError
from topics.layout import Layout, UnfinishedError, require_finished

MAX_BATCH_BYTES = 900 * 2**10
MAX_REQUEST_BYTES = 3 * 2**20
POLL_RECORDS = 500
"""At 50 µs a record a batch takes at most 25 ms; heartbeats share its loop."""

MAX_POLL_SECONDS = 2_000_000.0
"""In effect never: an idle worker, or one at capacity, stays a member.

Heartbeats come from the same loop, so they prove that it runs."""

QUEUED_BATCHES = 8
COMMIT_SECONDS = 0.25

HEARTBEAT_RATIO = 1 / 10
MAX_PAUSE_RATIO = 2 / 3
"""Of the session timeout. A pause and the heartbeat that it delays end well within it. A
shorter limit would stop more healthy workers on a busy machine than zombies."""

METADATA_MAX_AGE_MS = 5000
"""Workers find a moved leader within this; Faust's five minutes would stall partitions."""

REQUEST_SECONDS = 5.0
"""A frozen broker keeps its connections open; after this the client tries another."""

_MIN_BACKOFF_SECONDS = 0.25
_MAX_BACKOFF_SECONDS = 4.0

log = logging.getLogger(__name__)


class App(faust.App):
    """A Faust app that stops rather than lose a record.

    Attributes:
        pause_monitor: runs from the start, also during a long recovery.
        layout: of the topics, once the app has started.
        fetch_interval: least seconds between two fetches; more make larger batches.
        batching_producer: sends the worker's records; a failed send stops the worker.
    """

    client_replies: ClientReplyProducer
    pause_monitor: PauseMonitor
    settings: WorkerSettings
    cluster_id: str
    layout = Layout()
    fetch_interval = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._revocation_listeners: list[Callable[[], Awaitable[None]]] = []
        self._recovery_listeners: list[Callable[[set[int]], Awaitable[None]]] = []
        self.batching_producer = BatchingProducer(
            lambda: self.producer._producer, _on_delivery
        )
        super().__init__(*args, **kwargs)

    @property
    def generation(self) -> int:
        """How often the topics were repartitioned."""
        return self.layout.generation

    def add_revocation_listener(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Await a listener before partitions are given up."""
        self._revocation_listeners.append(listener)

    def add_recovery_listener(
        self, listener: Callable[[set[int]], Awaitable[None]]
    ) -> None:
        """Await a listener with the partitions of which the rows are recovered.

        It is called before the records of new partitions come; and without partitions,
        when others were given up.
        """
        self._recovery_listeners.append(listener)

    async def partitions_revoked(self) -> None:
        """Await the listeners."""
        for listener in self._revocation_listeners:
            await listener()

    async def partitions_recovered(self, partitions: set[int]) -> None:
        """Await the listeners."""
        for listener in self._recovery_listeners:
            await listener(partitions)

    @faust.Service.task
    async def _monitor_pauses(self) -> None:
        # An app.task() would start after the recovery, and detect a pause that was none.
        await self.pause_monitor.run()

    async def on_first_start(self) -> None:
        """Wait for Kafka, instead of restarting until it runs."""
        self.cluster_id, self.layout = await _wait_for_kafka(self.settings)
        await super().on_first_start()
        self.sensors.remove(self.monitor)  # unused, and it costs as much as an event

    async def on_stop(self) -> None:
        """Hand over to other workers; stop when all work in flight is acknowledged."""
        await self.tables.recovery.hand_over()
        await self.tables.recovery.close()
        await super().on_stop()
        await self.client_replies.close()

    def _crash(self, reason: BaseException) -> NoReturn:
        """Stop at once when any part crashes."""
        fail_stop("crashed: %r", reason)

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> NoReturn:
        """Stop before any commit when an agent raises."""
        text = "".join(traceback.format_exception(exc))
        fail_stop("agent %s raised %r\n%s", agent.name, exc, text)


def _on_delivery(delivery: DeliveryFuture) -> None:
    if delivery.cancelled():
        fail_stop("a record was not sent: cancelled")
    if (error := delivery.exception()) is not None:
        fail_stop("a record was not sent: %r", error)


async def _wait_for_kafka(cluster: KafkaSettings) -> tuple[str, Layout]:
    """Return the cluster's id and the topics' layout once a broker answers.

    A wrong number of partitions stops the worker: it would forward records to other owners
    than its fellow workers do. So do a failed authentication, which no retry cures, and a
    repartition that is unfinished.
    """
    pause = _MIN_BACKOFF_SECONDS
    while True:
        try:
            layout, drift, name = await asyncio.gather(
                require_finished(cluster), partition_drift(cluster), cluster_id(cluster)
            )
        except (KafkaAuthenticationError, UnfinishedError) as error:
            fail_stop("%s", error)
        except TopicsError as error:
            log.warning("event=waiting-for-kafka reason=%r", str(error))
        else:
            for line in drift:
                fail_stop("PARTITIONS is wrong: %s", line)
            return name, layout
        await asyncio.sleep(pause)
        pause = min(2 * pause, _MAX_BACKOFF_SECONDS)


def create_app(service: str, settings: WorkerSettings) -> App:
    """Create the app of a service, whose name is its consumer group's."""
    compat.apply()
    session = settings.session_timeout_seconds
    app = App(
        service,
        broker=[URL(f"kafka://{address}") for address in settings.kafka.split(",")],
        broker_credentials=_credentials(settings),
        PartitionAssignor=Assignor,
        TableManager=TableManager,
        store=f"{compat.STORE}://",
        datadir=settings.state_dir,
        processing_guarantee="at_least_once",
        topic_partitions=settings.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=settings.standby_replicas,
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
        # A JoinGroup is answered only when all members have joined, or timed out.
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
    app.pause_monitor = PauseMonitor(timedelta(seconds=session * MAX_PAUSE_RATIO))
    app.client_replies = ClientReplyProducer(settings)
    app.settings = settings
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
