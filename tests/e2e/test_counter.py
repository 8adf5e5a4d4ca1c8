"""A worker that is killed while it counts loses no record, and counts none twice."""

import random

from tests.e2e.clients import HttpClient
from tests.e2e.counting import counted, kill_while_it_counts, preload
from tests.e2e.ids import IdFactory
from tests.e2e.shop import Shop

RECORDS = 20_000
KILLS = 3


async def test_a_worker_that_is_killed_while_it_counts_counts_each_record_once(
    shop: Shop, http: HttpClient, ids: IdFactory
):
    worker = shop["loms-1"]
    await worker.stop()
    skus = [ids.sku() for _ in range(16)]
    await preload(shop.cluster, skus, RECORDS)
    chance = random.Random(RECORDS)
    await kill_while_it_counts(worker, shop.cluster, RECORDS, KILLS, chance)
    assert await counted(http, skus) == RECORDS
