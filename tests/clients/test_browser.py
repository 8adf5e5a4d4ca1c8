"""Chromium in the hands of a user: from the start page to a call in Swagger UI."""

from tests.clients.chromium import Chromium
from tests.clients.conftest import Visit


async def test_swagger_ui_makes_a_call(browser: Chromium, visit: Visit):
    seen = await browser.play("swagger.mjs", visit.http.url, str(visit.sku))

    good, bad = seen["good"], seen["bad"]
    assert good["status"] == "200"
    assert good["body"] == await visit.http.do("stocks", sku=visit.sku)
    assert good["body"] == {"stocks": [{"warehouseID": 1, "count": 5}]}
    assert bad["status"] == "400"
    assert bad["body"]["code"] == "bad-request"
    assert "content-type: application/problem+json" in bad["headers"]
    assert '"sku": 1076963' in seen["topics"]
    (error,) = seen["errors"]
    assert "the server responded with a status of 400" in error
    assert browser.pictures() == ["events", "start", "swagger-200", "swagger-400"]
