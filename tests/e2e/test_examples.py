"""The examples of the documents get the replies that the documents show."""

from agents.ops.product_stand_in import SAMPLE_STOCKS
from gateway.openapi import document
from tests.e2e.clients import HttpClient

_SAMPLES = SAMPLE_STOCKS[:3]  # no example has the other products


async def test_each_example_in_order_gets_the_documented_reply(http: HttpClient):
    for sku, warehouse, count in _SAMPLES:
        receipt = {"sku": sku, "warehouseID": warehouse, "count": count}
        await http.do("receiveStock", f"sample-{sku}-{warehouse}", **receipt)
    for path, item in document()["paths"].items():
        if "post" in item:
            call = item["post"]
            body = call["requestBody"]["content"]["application/json"]["example"]
            shown = call["responses"]["200"]["content"]["application/json"]["example"]
            key = call["parameters"][0].get("example")
            assert await http.do(path[1:], key, **body) == shown, path
