"""curl by hand: without a content type of JSON."""

import asyncio
import json

import pytest

from tests.clients.conftest import Visit
from tests.programs import need, run

WITHIN_SECONDS = 90.0


@pytest.mark.parametrize("type_of_body", [(), ("-H", "Content-Type:")])
async def test_curl(visit: Visit, type_of_body: tuple[str, ...]):
    need("curl")

    async def post(call: str, **body: int) -> dict:
        data = ("-d", json.dumps(body), f"{visit.http.url}/{call}")
        words = ("curl", "-sSf", *type_of_body, *data)
        return json.loads(await asyncio.to_thread(run, *words, within=WITHIN_SECONDS))

    user, sku = visit.user, visit.sku
    assert await post("stocks", sku=sku) == {"stocks": [{"warehouseID": 1, "count": 5}]}
    assert await post("addToCart", user=user, sku=sku, count=2) == {}
    order = await post("purchase", user=user)
    assert (await post("listOrder", **order))["items"] == [{"sku": sku, "count": 2}]
