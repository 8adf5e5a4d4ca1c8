"""Faults of a shop whose requests are deleted below a checkpoint, again in each round."""

import asyncio
from collections.abc import AsyncIterator

from tests.chaos.checks import audit, checkpoints
from tests.chaos.environment import Environment
from tests.chaos.fault import fault
from tests.chaos.processes import SCALED, any_worker, delete_state


@fault("requests deleted below a checkpoint, then the state directories")
async def forget_requests(environment: Environment) -> AsyncIterator[None]:
    """A worker is killed while the checkpoint is written; later audits begin there."""
    victim = any_worker(environment, environment.random.choice(SCALED))
    await asyncio.gather(write_checkpoint(environment), victim.crash())
    await delete_older(environment)
    async with delete_state(environment):
        yield


async def write_checkpoint(environment: Environment, *options: str) -> None:
    """Write a checkpoint, from the newest one on."""
    directory = str(checkpoints(environment))
    code, output = await audit(environment, "--checkpoint", directory, *options)
    assert code == 0, output


async def delete_older(environment: Environment, *options: str) -> None:
    """Delete the requests below the newest checkpoint."""
    await environment.kafka.drain()  # it must have read what is deleted
    directory = str(checkpoints(environment))
    code, output = await audit(environment, "--forget-before", directory, "--yes", *options)
    assert code == 0, output
