"""aiokafka's consumer in the agents' own loop, and what it can't be silent about."""

import asyncio
from typing import Any, NoReturn

import faust
from aiokafka.errors import InvalidSessionTimeoutError
from faust.transport.drivers import aiokafka as driver

from agents.runtime.fail_stop import fail_stop


class EventLoopConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka's consumer in the agents' own loop instead of a thread of its own.

    With a thread every fetch is handed over twice through the interpreter's lock, which
    halves what a worker carries under load (shared/faust.md: Speed).
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
        """Start the consumer; a group that does not want it ends the worker.

        aiokafka tells only whoever fetches. That is nobody before there are partitions: a
        worker that is not let in would wait for ever.
        """
        await super().on_start()
        self._consumer._coordinator._push_error_to_user = _fail_stop_on

    async def stop(self) -> None:
        """Stop; there is no thread to join."""
        if self._started.is_set():
            await faust.Service.stop(self)

    async def _gather_remaining_tasks(self) -> None:
        """Leave the loop's other tasks alone: they are not this service's."""

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        """Call at once: it is the same loop."""
        result = fun(*args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    cast_thread = call_thread

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust's 1500 ms are hard-coded: an idle partition would delay its neighbours.
        consumer._fetch_max_wait_ms = self.app.conf.fetch_max_wait_ms
        return consumer


def _fail_stop_on(error: BaseException) -> NoReturn:
    if isinstance(error, InvalidSessionTimeoutError):
        fail_stop(
            "SESSION_TIMEOUT_SECONDS is less, or more, than this Kafka's brokers allow"
        )
    fail_stop("the group says no: %r", error)
