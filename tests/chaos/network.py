"""Brokers that die or freeze, and what lies between them and a worker."""

from collections.abc import AsyncIterator

from tests.chaos.arena import Arena
from tests.chaos.fault import fault
from tests.e2e.processes import Unit

SECONDS_LATE = 0.15


def any_broker(arena: Arena) -> Unit:
    """Choose one."""
    return arena.random.choice(arena.shop.brokers)


@fault("kill -9 of the only broker")
async def kill_the_broker(arena: Arena) -> AsyncIterator[None]:
    """Nothing can be said until it is back; nothing that was said is gone."""
    await any_broker(arena).crash()
    yield


@fault("kill -9 of one of three brokers", brokers=3, lasting=True)
async def lose_a_broker(arena: Arena) -> AsyncIterator[None]:
    """The other two have all that was acknowledged."""
    victim = any_broker(arena)
    await victim.crash(for_good=True)
    yield
    victim.start()
    await arena.shop.broker_answers()


@fault("SIGSTOP of one of three brokers, SIGCONT", brokers=3, lasting=True)
async def freeze_a_broker(arena: Arena) -> AsyncIterator[None]:
    """When it wakes up it believes that it leads."""
    victim = any_broker(arena)
    victim.freeze()
    yield
    victim.thaw()
    await arena.shop.broker_answers()


@fault("network cut between a worker and all brokers", brokers=3, lasting=True)
async def cut_the_network(arena: Arena) -> AsyncIterator[None]:
    """Its twin takes over; what it said meanwhile arrives late."""
    for tunnel in arena.tunnels:
        tunnel.cut()
    yield
    for tunnel in arena.tunnels:
        tunnel.mend()


@fault("network delay between a worker and all brokers", brokers=3, lasting=True)
async def slow_the_network(arena: Arena) -> AsyncIterator[None]:
    """It stays a member, and its partitions are served, slowly."""
    for tunnel in arena.tunnels:
        tunnel.seconds = SECONDS_LATE
    yield
    for tunnel in arena.tunnels:
        tunnel.seconds = 0
