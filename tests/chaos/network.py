"""Brokers that crash or freeze, and the network between them and a worker."""

from collections.abc import AsyncIterator

from tests.chaos.environment import Environment
from tests.chaos.fault import fault
from tests.e2e.processes import Unit

SECONDS_LATE = 0.15


def any_broker(environment: Environment) -> Unit:
    """Choose a broker."""
    return environment.random.choice(environment.shop.brokers)


@fault("kill -9 of the only broker")
async def kill_the_broker(environment: Environment) -> AsyncIterator[None]:
    """No request succeeds until it is back; no acknowledged record is lost."""
    await any_broker(environment).crash()
    yield


@fault("kill -9 of one of three brokers", brokers=3, lasting=True)
async def lose_a_broker(environment: Environment) -> AsyncIterator[None]:
    """The other two have all acknowledged records."""
    victim = any_broker(environment)
    await victim.crash(permanently=True)
    yield
    victim.start()
    await environment.shop.broker_answers()


@fault("SIGSTOP of one of three brokers, SIGCONT", brokers=3, lasting=True)
async def freeze_a_broker(environment: Environment) -> AsyncIterator[None]:
    """When it continues it still takes itself for a leader."""
    victim = any_broker(environment)
    victim.freeze()
    yield
    victim.thaw()
    await environment.shop.broker_answers()


@fault("network cut between a worker and all brokers", brokers=3, lasting=True)
async def cut_the_network(environment: Environment) -> AsyncIterator[None]:
    """Another worker takes over; the delayed records arrive late."""
    for tunnel in environment.tunnels:
        tunnel.cut()
    yield
    for tunnel in environment.tunnels:
        tunnel.mend()


@fault("network delay between a worker and all brokers", brokers=3, lasting=True)
async def slow_the_network(environment: Environment) -> AsyncIterator[None]:
    """The worker stays a member of its group, and serves its partitions slowly."""
    for tunnel in environment.tunnels:
        tunnel.seconds = SECONDS_LATE
    yield
    for tunnel in environment.tunnels:
        tunnel.seconds = 0
