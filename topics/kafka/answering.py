"""Work on a cluster that ends when a broker does not answer, with the broker's name.

The limit is for a broker's silence, not for the work: that may take hours while all brokers
answer. aiokafka's own limits are 40 s for each attempt, and name no broker.
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
"""How long a broker may be silent."""

_PROBE_SECONDS = 5.0
"""After so much silence all brokers are probed, for as long again."""

_LOOK_SECONDS = 0.25
_LONGEST_LOOK_SECONDS = 1.0
_END_SECONDS = 1.0

T = TypeVar("T")


class NoAnswerError(Exception):
    """No broker can be reached, or one does not answer; the message names it."""


async def answered(
    cluster: KafkaSettings, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]
) -> T:
    """Do some work on a cluster while its brokers answer.

    Args:
        cluster: how to reach the brokers.
        work: gets the cluster, with a broker that answers as its only address.

    Raises:
        NoAnswerError: no broker can be reached, or one is silent for ten seconds.
        NotLetInError: Kafka is there, but refuses the login or the connection.
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
    """Return the cluster with a broker that answers as its only address.

    aiokafka connects to one address, and learns the others from it; it takes them in any
    order, and waits for one that is silent.

    Raises:
        NoAnswerError: no broker can be reached.
        NotLetInError: Kafka is there, but refuses the login or the connection.
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
    """Wait for the end of a task; raise when a broker stays silent."""
    probes, due = None, 0.0
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
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
    """End probes; raise if a connection waits on, and a broker was silent to its probe."""
    silent = probes.silent()
    probes.end()
    if silent and seconds >= LIMIT_SECONDS:
        raise _no_answer(silent)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task; a client that waits for a silent broker may not end in time."""
    task.cancel()
    await asyncio.wait({task}, timeout=_END_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


class _Silence:
    """How long connections have waited for an answer while this process ran.

    Time is counted look by look: a process that was stopped, or that computed for long,
    has not read what brokers answered meanwhile.

    Args:
        opened: the connections.
    """

    def __init__(self, opened: WeakSet[Connection]) -> None:
        self._opened = opened
        self._answered: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._seconds: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._looked = time.monotonic()

    def longest(self) -> float:
        """Look at all connections; return the seconds of the one that waits longest."""
        now = time.monotonic()
        passed = min(now - self._looked, _LONGEST_LOOK_SECONDS)
        self._looked = now
        return max((self._look(one, passed) for one in list(self._opened)), default=0.0)

    def addresses(self) -> list[str]:
        """Return the addresses of connections that wait for an answer."""
        return [one.address for one in list(self._opened) if one.waits]

    def _look(self, connection: Connection, passed: float) -> float:
        answered = self._answered.get(connection)
        goes_on = connection.waits and answered == connection.answered_at
        self._answered[connection] = connection.answered_at
        seconds = self._seconds.get(connection, 0.0) + passed if goes_on else 0.0
        self._seconds[connection] = seconds
        return seconds


class _Probes:
    """One connection to each broker, on trial, until it has answered.

    Args:
        cluster: how to reach the brokers.
        addresses: of brokers; those that they name are probed, too.
    """

    def __init__(self, cluster: KafkaSettings, addresses: Iterable[str]) -> None:
        self._options = cluster.client_options()
        self._options.pop("bootstrap_servers")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._errors: dict[str, Exception] = {}
        for address in addresses:
            self._start(address)

    async def first(self) -> str | None:
        """Return the first broker that answers; None if none does in time."""
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
        """Return the addresses that have neither answered nor refused."""
        return [address for address, task in self._tasks.items() if not task.done()]

    def reason(self) -> Exception:
        """Return the error that says why no broker can be reached."""
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
        """End those that still wait."""
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
