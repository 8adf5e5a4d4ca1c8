"""aiokafka's consumer in the agents' own event loop."""

import asyncio
from typing import Any, NoReturn

import faust
from aiokafka.errors import InvalidSessionTimeoutError
from faust.transport.drivers import aiokafka as driver

from agents.runtime.fail_stop import fail_stop


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
        """Start the consumer; stop the worker if the group refuses it.

        aiokafka raises such an error in the next fetch. Before there are partitions there
        is none, and the worker would wait for ever.
        """
        await super().on_start()
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
        # Faust hard-codes 1500 ms: an idle partition would delay its neighbours.
        consumer._fetch_max_wait_ms = self.app.conf.fetch_max_wait_ms
        return consumer


def _fail_stop_on(error: BaseException) -> NoReturn:
    if isinstance(error, InvalidSessionTimeoutError):
        fail_stop("SESSION_TIMEOUT_SECONDS is outside the range that the brokers allow")
    fail_stop("the group refused this worker: %r", error)
