"""Runs work on a cluster; raises when a broker does not respond, with its name.

The limit is for a broker without responses, not for the work: that may take hours while all
brokers respond. aiokafka's own limits are 40 s for each attempt, without the broker's name.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka.connection import Connection, KafkaAuthenticationError, connect
from topics.kafka.settings import KafkaSettings

LIMIT_SECONDS = 10.0
"""The time that a broker may take for a response."""

_INTERVAL_SECONDS = 1.0
_CHECK_SECONDS = 0.25
_MAX_CHECK_SECONDS = 1.0
_END_SECONDS = 1.0
_FAILURES = (KafkaAuthenticationError, KafkaError, OSError)

T = TypeVar("T")
Probe = asyncio.Task[tuple[str, Exception | None]]


class NotRespondingError(Exception):
    """No broker can be reached, or one does not respond; the message names it."""


async def run_supervised(
    cluster: KafkaSettings, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]
) -> T:
    """Run work while all brokers respond, with one of them as the cluster's only address.

    Raises:
        NotRespondingError: no broker can be reached, or one is silent for ten seconds.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    reached = await reach(cluster)
    task = asyncio.create_task(work(reached))
    try:
        await _supervise(task, _Heartbeats(reached))
    except BaseException:
        # A client that waits for a broker may not end in time.
        task.cancel()
        await asyncio.wait({task}, timeout=_END_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()
        raise
    return task.result()


async def reach(cluster: KafkaSettings) -> KafkaSettings:
    """Return the cluster with a broker that responds as its only address.

    aiokafka connects to one address in any order, and waits for one that does not respond.

    Raises:
        NotRespondingError: no broker can be reached.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    options = cluster.client_options()
    addresses = cluster.kafka.split(",")
    probes = {a: asyncio.create_task(_probe(a, options)) for a in addresses}
    try:
        with suppress(TimeoutError):
            for probe in asyncio.as_completed(probes.values(), timeout=LIMIT_SECONDS):
                address, error = await probe
                if error is None:
                    return cluster.model_copy(update={"kafka": address})
        raise _unreachable(probes)
    finally:
        for task in probes.values():
            task.cancel()


async def _supervise(task: asyncio.Task[T], heartbeats: "_Heartbeats") -> None:
    """Wait for the end of a task; raise if a broker does not respond."""
    try:
        while not (await asyncio.wait({task}, timeout=_CHECK_SECONDS))[0]:
            if silent := heartbeats.silent():
                raise _no_answer(silent)
    finally:
        heartbeats.cancel()


async def _probe(address: str, options: dict[str, Any]) -> tuple[str, Exception | None]:
    try:
        connection = await connect(address, options)
        try:
            await _brokers(connection)
        finally:
            connection.close()
    except _FAILURES as error:
        return address, error
    return address, None


async def _brokers(connection: Connection) -> list[str]:
    metadata = await connection.send(MetadataRequest([]))
    return [f"{host}:{port}" for _, host, port, *_ in metadata.brokers]


class _Heartbeats:
    """Sends a request to each broker of a cluster, again and again.

    Silence is counted at each check: a process that was stopped, or that computed for long,
    has not read the responses of that time.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        self._options = cluster.client_options()
        self._silence: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._checked_at = time.monotonic()
        self._start([cluster.kafka])

    def silent(self) -> list[str]:
        """Return the addresses that have neither responded nor refused in time."""
        now = time.monotonic()
        passed = min(now - self._checked_at, _MAX_CHECK_SECONDS)
        self._checked_at = now
        for address in self._silence:
            self._silence[address] += passed
        return [a for a, seconds in self._silence.items() if seconds >= LIMIT_SECONDS]

    def cancel(self) -> None:
        """Close the connections."""
        for task in self._tasks.values():
            task.cancel()

    def _start(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if address not in self._tasks:
                self._tasks[address] = asyncio.create_task(self._run(address))

    async def _run(self, address: str) -> None:
        while True:
            await self._pause(address)
            with suppress(*_FAILURES):
                connection = await connect(address, self._options)
                try:
                    while True:
                        self._start(await _brokers(connection))
                        await self._pause(address)
                finally:
                    connection.close()

    async def _pause(self, address: str) -> None:
        self._silence[address] = -_INTERVAL_SECONDS
        await asyncio.sleep(_INTERVAL_SECONDS)


def _unreachable(probes: Mapping[str, Probe]) -> Exception:
    """Return the error with the reason why no broker can be reached."""
    results = [probe.result() for probe in probes.values() if probe.done()]
    errors = [error for _, error in results if error is not None]
    for error in errors:
        if isinstance(error, KafkaAuthenticationError):
            return error
    if silent := [address for address, probe in probes.items() if not probe.done()]:
        return _no_answer(silent)
    reason = str(errors[0]) or repr(errors[0])
    return NotRespondingError(f"Kafka at {','.join(probes)}: {reason}")


def _no_answer(silent: Iterable[str]) -> NotRespondingError:
    return NotRespondingError(
        f"Kafka at {', '.join(silent)} does not answer within {LIMIT_SECONDS:g} s"
    )
