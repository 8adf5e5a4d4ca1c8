"""The worker's interface to the runtime; a Faust app implements it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from agents.runtime.fail_stop import PauseMonitor
from agents.runtime.producer import BatchingProducer
from topics.kafka.settings import KafkaSettings


class Worker(Protocol):
    """A worker process.

    Attributes:
        batching_producer: sends its records; a record that is not sent stops the worker.
        pause_monitor: detects that the process was frozen.
    """

    batching_producer: BatchingProducer
    pause_monitor: PauseMonitor

    @property
    def settings(self) -> KafkaSettings:
        """The settings of Kafka's clients."""

    def add_revocation_listener(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Await a listener before partitions are given up."""
