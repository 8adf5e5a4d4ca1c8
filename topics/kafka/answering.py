"""Runs work on a cluster; raises when a broker does not respond, with its name.

The limit is for a broker without responses, not for the work: that may take hours while all
brokers respond. aiokafka's own limits are 40 s for each attempt, without the broker's name.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka.connection import (
    AUTHENTICATION_ERRORS,
    OPENED,
    Connection,
    KafkaAuthenticationError,
)
from topics.kafka.settings import KafkaSettings

LIMIT_SECONDS = 10.0
"""The time that a broker may take for a response."""

_PROBE_SECONDS = 5.0
"""After so long without a response all brokers are probed, for the same time."""

_CHECK_SECONDS = 0.25
_MAX_CHECK_SECONDS = 1.0
_END_SECONDS = 1.0

T = TypeVar("T")


class NoAnswerError(Exception):
    """No broker can be reached, or one does not respond; the message names it."""


async def answered(
    cluster: KafkaSettings, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]
) -> T:
    """Run work on a cluster while its brokers respond.

    Args:
        cluster: the settings of the brokers.
        work: gets the cluster, with a broker that responds as its only address.

    Raises:
        NoAnswerError: no broker can be reached, or one does not respond in ten seconds.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    reached = await reach(cluster)
    opened: WeakSet[Connection] = WeakSet()
    context = copy_context()
    context.run(OPENED.set, opened)
    task = asyncio.get_running_loop().create_task(work(reached), context=context)
    try:
        await _attend(task, _Silence(opened), reached)
    except BaseException:
        await _end(task)
        raise
    return task.result()


async def reach(cluster: KafkaSettings) -> KafkaSettings:
    """Return the cluster with a broker that responds as its only address.

    aiokafka connects to one address in any order, and waits for one that does not respond.

    Raises:
        NoAnswerError: no broker can be reached.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    probes = _Probes(cluster, cluster.kafka.split(","))
    try:
        first = await probes.first()
    finally:
        probes.end()
    if first is None:
        raise probes.reason()
    return cluster.model_copy(update={"kafka": first})


async def _attend(
    task: asyncio.Task[T], silence: "_Silence", cluster: KafkaSettings
) -> None:
    """Wait for the end of a task; raise if a broker does not respond."""
    probes, due = None, 0.0
    try:
        while not (await asyncio.wait({task}, timeout=_CHECK_SECONDS))[0]:
            seconds = silence.longest()
            if probes is None and seconds >= _PROBE_SECONDS:
                probes = _Probes(cluster, [cluster.kafka, *silence.addresses()])
                due = max(LIMIT_SECONDS, seconds + _PROBE_SECONDS)
            elif probes and not _PROBE_SECONDS <= seconds < due:
                _judge(probes, seconds)
                probes = None
    finally:
        if probes:
            probes.end()


def _judge(probes: "_Probes", seconds: float) -> None:
    """End probes; raise if a connection still waits and a broker ignored its probe."""
    silent = probes.silent()
    probes.end()
    if silent and seconds >= LIMIT_SECONDS:
        raise _no_answer(silent)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task; a client that waits for a broker may not end in time."""
    task.cancel()
    await asyncio.wait({task}, timeout=_END_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


class _Silence:
    """Measures how long connections wait for a response while this process runs.

    Time is counted at each check: a process that was stopped, or that computed for long,
    has not read the responses of that time.

    Args:
        opened: the connections.
    """

    def __init__(self, opened: WeakSet[Connection]) -> None:
        self._opened = opened
        self._answered: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._seconds: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._checked = time.monotonic()

    def longest(self) -> float:
        """Check all connections; return the longest wait in seconds."""
        now = time.monotonic()
        passed = min(now - self._checked, _MAX_CHECK_SECONDS)
        self._checked = now
        return max((self._check(c, passed) for c in list(self._opened)), default=0.0)

    def addresses(self) -> list[str]:
        """Return the addresses of connections that wait for a response."""
        return [c.address for c in list(self._opened) if c.waits]

    def _check(self, connection: Connection, passed: float) -> float:
        answered = self._answered.get(connection)
        still_waits = connection.waits and answered == connection.answered_at
        self._answered[connection] = connection.answered_at
        seconds = self._seconds.get(connection, 0.0) + passed if still_waits else 0.0
        self._seconds[connection] = seconds
        return seconds


class _Probes:
    """Probes each broker with a separate connection, until it has responded.

    Args:
        cluster: the settings of the brokers.
        addresses: addresses of brokers; the brokers in their metadata are probed, too.
    """

    def __init__(self, cluster: KafkaSettings, addresses: Iterable[str]) -> None:
        self._options = cluster.client_options()
        self._options.pop("bootstrap_servers")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._errors: dict[str, Exception] = {}
        for address in addresses:
            self._start(address)

    async def first(self) -> str | None:
        """Return the first broker that responds; None if none does in time."""
        pending = set(self._tasks.values())
        deadline = time.monotonic() + LIMIT_SECONDS
        while pending and (left := deadline - time.monotonic()) > 0:
            done, pending = await asyncio.wait(
                pending, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            for address in [a for a, task in self._tasks.items() if task in done]:
                self._tasks[address].result()
                if address not in self._errors:
                    return address
        return None

    def silent(self) -> list[str]:
        """Return the addresses that have neither responded nor refused."""
        return [address for address, task in self._tasks.items() if not task.done()]

    def reason(self) -> Exception:
        """Return the error with the reason why no broker can be reached."""
        for address, error in self._errors.items():
            if isinstance(error, AUTHENTICATION_ERRORS):
                return KafkaAuthenticationError(
                    f"Kafka at {address} does not let us in: {error}"
                )
        if silent := [address for address in self._tasks if address not in self._errors]:
            return _no_answer(silent)
        address, error = next(iter(self._errors.items()))
        return NoAnswerError(f"Kafka at {','.join(self._errors)}: {error or repr(error)}")

    def end(self) -> None:
        """Cancel the probes that still wait."""
        for task in self._tasks.values():
            task.cancel()

    def _start(self, address: str) -> None:
        if address not in self._tasks:
            self._tasks[address] = asyncio.create_task(self._probe(address))

    async def _probe(self, address: str) -> None:
        [(host, port, _)] = collect_hosts(address)
        try:
            connection = await create_conn(host, port, **self._options)
            try:
                metadata = await connection.send(MetadataRequest([]))
            finally:
                connection.close()
        except (KafkaError, OSError, TimeoutError) as error:
            self._errors[address] = error
            return
        for _, broker_host, broker_port, *_ in metadata.brokers:
            self._start(f"{broker_host}:{broker_port}")


def _no_answer(silent: Iterable[str]) -> NoAnswerError:
    addresses = ", ".join(dict.fromkeys(silent))
    return NoAnswerError(f"Kafka at {addresses} does not answer within {LIMIT_SECONDS:g} s")
