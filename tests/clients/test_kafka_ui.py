"""Chromium at the Kafka UI: a call by hand, its reply, and a row of a table."""

import json

from aiohttp.test_utils import TestServer

from tests.clients.chromium import Chromium
from tests.clients.conftest import Visit
from topics.kafka.settings import KafkaSettings
from topics.ui import application


async def test_a_request_is_sent_by_hand_and_its_reply_is_shown(
    browser: Chromium, visit: Visit
):
    sku = str(visit.sku)
    async with TestServer(
        application(KafkaSettings(kafka=visit.brokers)), host="127.0.0.1"
    ) as ui:
        seen = await browser.play("kafka.mjs", str(ui.make_url("/")), sku)

    # Without a key any partition gets it; newer records are the same, forwarded by workers.
    *_, _, headers, value = seen["asked"]
    assert json.loads(value) == {"type": "stocks", "sku": visit.sku}
    *_, key, answered, value = seen["answered"]
    assert key == sku
    assert answered in headers
    assert answered.startswith("kafka_correlationId: ui-")
    there = await visit.http.do("stocks", sku=visit.sku)
    assert json.loads(value) == {"type": "stocks", **there}
    row = dict(zip(*seen["table"].values(), strict=True))[sku]
    assert json.loads(row) == {"available": {"1": 5}, "reserved": {}}
    assert seen["errors"] == []
    assert browser.pictures() == ["reply", "sent", "table", "topics"]
