"""aiokafka's consumer and producer, as Faust's transport runs them here."""

import asyncio
import math
from typing import Any, NoReturn

import faust
from aiokafka.errors import InvalidSessionTimeoutError
from faust.transport.drivers import aiokafka as driver

from agents.runtime.fail_stop import fail_stop

FETCH_MAX_WAIT_MS = 50
"""Faust hard-codes 1500 ms: an idle partition would delay its neighbours."""


class EventLoopConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka's consumer in the agents' event loop instead of a thread of its own.

    A thread passes each fetch through the interpreter's lock twice, which halves the
    throughput of a busy worker.
    """

    wait_for_thread = True

    async def start(self) -> None:
        """Start in this loop."""
        self._thread_started.set()
        self._thread_running = self.parent_loop.create_future()
        self._serving = asyncio.ensure_future(self._serve())
        await self._thread_running
        self._thread_running = None

    async def on_start(self) -> None:
        """Start the consumer at the app's pace; stop the worker if the group refuses it.

        aiokafka raises such an error in the next fetch. Before there are partitions there
        is none, and the worker would wait for ever.
        """
        await super().on_start()
        self._consumer._fetcher.interval = self.app.fetch_interval
        self._consumer._coordinator._push_error_to_user = _fail_stop_on

    async def stop(self) -> None:
        """Stop; there is no thread to join."""
        if self._started.is_set():
            await faust.Service.stop(self)

    async def _gather_remaining_tasks(self) -> None:
        """Do nothing: the other tasks of the loop are not this service's."""

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        """Call directly: the loop is the same."""
        result = fun(*args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    cast_thread = call_thread

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._partition_assignment_strategy = [self.app.assignor]  # without tables, too
        return consumer


def _fail_stop_on(error: BaseException) -> NoReturn:
    if isinstance(error, InvalidSessionTimeoutError):
        fail_stop("SESSION_TIMEOUT_SECONDS is outside the range that the brokers allow")
    fail_stop("the group refused this worker: %r", error)


class Producer(driver.Producer):
    """Idempotent, and acknowledged by all in-sync replicas."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        """Return a producer that retries for ever."""
        producer = super()._new_producer(transactional_id)
        # Otherwise a partition without a leader fails its records after one request.
        producer._message_accumulator._batch_ttl = math.inf
        return producer

    async def flush(self) -> None:
        """Do nothing: a commit waits for the acknowledgements of its batch."""
