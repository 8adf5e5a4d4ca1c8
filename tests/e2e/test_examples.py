"""The examples of the documents, made as they stand there, are answered as they say."""

from agents.ops.standins.catalogue import SAMPLE_STOCKS
from gateway.docs.openapi import document
from tests.e2e.doors import HttpDoor

_SAMPLES = SAMPLE_STOCKS[:3]  # the others are of products that nobody shows


async def test_from_top_to_bottom_each_example_is_answered_as_shown(http: HttpDoor):
    for sku, warehouse, count in _SAMPLES:
        goods = {"sku": sku, "warehouseID": warehouse, "count": count}
        await http.do("receiveStock", f"sample-{sku}-{warehouse}", **goods)
    for path, item in document()["paths"].items():
        if "post" in item:
            call = item["post"]
            asked = call["requestBody"]["content"]["application/json"]["example"]
            shown = call["responses"]["200"]["content"]["application/json"]["example"]
            key = call["parameters"][0].get("example")
            assert await http.do(path[1:], key, **asked) == shown, path
