"""Another number of partitions, while the tool and workers are killed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from tests.chaos.checkpoints import delete_older, write_checkpoint
from tests.chaos.checks import checkpoints
from tests.chaos.environment import Environment
from tests.chaos.fault import fault
from tests.e2e.repartitioned import repartition_with_kills

PARTITIONS = (3, 8, 12)


@fault("repartition, killed again and again")
async def repartition(environment: Environment) -> AsyncIterator[None]:
    """Workers are stopped, or killed; clients go on, so their requests wait.

    If requests are deleted already, audits go on from the newest checkpoint: from before
    the repartition, or one of the stopped shop.
    """
    shop, chance = environment.shop, environment.random
    workers = shop.workers()
    is_clean = chance.random() < 0.5
    await asyncio.gather(
        *(each.stop() if is_clean else each.crash(permanently=True) for each in workers)
    )
    if checkpoints(environment).is_dir() and chance.random() < 0.5:
        await write_checkpoint(environment, "--no-questions")
        await delete_older(environment, "--no-questions")
    number = chance.choice([each for each in PARTITIONS if each != shop.partitions])
    await repartition_with_kills(shop, number, chance)
    shop.cluster = shop.cluster.model_copy(update={"partitions": number})
    for unit in shop.units.values():
        own = unit.process.environment
        if "PARTITIONS" in own:
            own = own | {"PARTITIONS": str(number)}
            unit.process = replace(unit.process, environment=own)
    await environment.kafka.read_again(shop.cluster)
    for unit in workers:
        unit.start()
    yield
