"""Runs work on a cluster; raises when a broker does not respond, with its name.

The limit is for a broker without responses, not for the work: that may take hours while all
brokers respond. aiokafka's own limits are 40 s for each attempt, without the broker's name.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, closing
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from topics.kafka.connection import KafkaAuthenticationError, connect, format_address
from topics.kafka.settings import KafkaSettings

LIMIT_SECONDS = 10.0
"""The time that a broker may take for a response."""

_PARTS = 10
_INTERVAL_SECONDS = 1.0
_END_SECONDS = 1.0
_FAILURES = (KafkaAuthenticationError, KafkaError, OSError)

T = TypeVar("T")
_Heartbeats = dict[str, asyncio.Task[None]]


class NotRespondingError(Exception):
    """No broker can be reached, or one does not respond; the message names it."""


async def run_supervised(
    cluster: KafkaSettings, work: Callable[[KafkaSettings], Coroutine[Any, Any, T]]
) -> T:
    """Run work while all brokers respond, with the addresses of those that live.

    Raises:
        NotRespondingError: no broker can be reached, or one is silent for ten seconds.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    reached = await reach(cluster)
    task = asyncio.create_task(work(reached))
    heartbeats: _Heartbeats = {}
    _start(heartbeats, reached.kafka.split(","), reached.client_options())
    try:
        while not task.done():
            if silent := [a for a, heartbeat in heartbeats.items() if heartbeat.done()]:
                raise _not_responding(silent)
            await asyncio.wait(
                {task, *heartbeats.values()},
                timeout=_INTERVAL_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        return task.result()
    finally:
        for each in (task, *heartbeats.values()):
            each.cancel()
        # A client that waits for a broker may not end in time.
        await asyncio.wait({task}, timeout=_END_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # else asyncio logs it


async def reach(cluster: KafkaSettings) -> KafkaSettings:
    """Return the cluster with the addresses of a broker that responds, and of all it names.

    aiokafka connects to one address in any order, and waits for one that does not respond.
    So a dead machine must not be among them; with the others work goes on if one crashes.

    Raises:
        NotRespondingError: no broker can be reached.
        KafkaAuthenticationError: Kafka refuses the login or the connection.
    """
    options, addresses = cluster.client_options(), cluster.kafka.split(",")
    probes = [asyncio.create_task(_probe(address, options)) for address in addresses]
    try:
        for probe in asyncio.as_completed(probes):
            address, found = await probe
            if not isinstance(found, Exception):
                alive = ",".join(dict.fromkeys([address, *found]))
                return cluster.model_copy(update={"kafka": alive})
    finally:
        for task in probes:
            task.cancel()
    errors = dict(task.result() for task in probes)
    for error in errors.values():
        if isinstance(error, KafkaAuthenticationError):
            raise error
    if silent := [a for a, error in errors.items() if isinstance(error, TimeoutError)]:
        raise _not_responding(silent)
    error = errors[addresses[0]]
    raise NotRespondingError(f"Kafka at {cluster.kafka}: {str(error) or repr(error)}")


async def _probe(
    address: str, options: dict[str, Any]
) -> tuple[str, list[str] | Exception]:
    """Return an address, and what its broker names, or the error if it can't be reached."""
    try:
        async with aclosing(_metadata(address, options)) as responses:
            return address, await anext(responses)
    except _FAILURES as error:
        return address, error


def _start(
    heartbeats: _Heartbeats, addresses: Iterable[str], options: dict[str, Any]
) -> None:
    for address in addresses:
        if address not in heartbeats:
            heartbeat = _beat(heartbeats, address, options)
            heartbeats[address] = asyncio.create_task(heartbeat)


async def _beat(heartbeats: _Heartbeats, address: str, options: dict[str, Any]) -> None:
    """Send requests to a broker until it is silent; include the brokers that it names."""
    while True:
        await asyncio.sleep(_INTERVAL_SECONDS)
        try:
            async for brokers in _metadata(address, options):
                _start(heartbeats, brokers, options)
        except TimeoutError:
            return
        except _FAILURES:
            continue  # a broker that refuses is not silent


async def _metadata(address: str, options: dict[str, Any]) -> AsyncGenerator[list[str]]:
    """Yield the brokers that a broker names, in each response over one connection."""
    with closing(await _within_limit(connect(address, options))) as connection:
        while True:
            response = await _within_limit(connection.send(MetadataRequest([])))
            yield [format_address(host, port) for _, host, port, *_ in response.brokers]
            await asyncio.sleep(_INTERVAL_SECONDS)


async def _within_limit(request: Awaitable[T]) -> T:
    """Return the response to a request.

    It counts the limit in parts. A process that was stopped, or that computed for long, has
    not read the responses of that time, which then is one part.

    Raises:
        TimeoutError: there is no response within the limit.
    """
    task = asyncio.ensure_future(request)
    try:
        for _ in range(_PARTS):
            await asyncio.wait({task}, timeout=LIMIT_SECONDS / _PARTS)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise TimeoutError


def _not_responding(silent: Iterable[str]) -> NotRespondingError:
    return NotRespondingError(
        f"Kafka at {', '.join(silent)} does not answer within {LIMIT_SECONDS:g} s"
    )
