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
    directory = str(checkpoints(environment))
    victim = any_worker(environment, environment.random.choice(SCALED))
    written, _ = await asyncio.gather(
        audit(environment, "--checkpoint", directory),
        victim.crash(),
    )
    await environment.kafka.drain()  # it must have read what is deleted
    deleted = await audit(environment, "--forget-before", directory, "--yes")
    for code, output in (written, deleted):
        assert code == 0, output
    async with delete_state(environment):
        yield
