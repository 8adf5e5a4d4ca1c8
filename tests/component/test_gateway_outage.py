"""Kafka stops and starts again; the gateway reports it, and keeps running."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.component.door import PATIENCE_SECONDS, Door, open_door
from tests.component.gateway_process import running
from tests.standins.broker import EmbeddedKafka
from tests.standins.shop import Shop, open_shop
from topics.admin import create
from topics.catalog import STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin

STOCKS = {"type": "stocks", "stocks": []}


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> AsyncIterator[EmbeddedKafka]:
    """A broker that these tests may kill."""
    with EmbeddedKafka(tmp_path_factory.mktemp("mortal")) as broker:
        asyncio.run(create(KafkaSettings(kafka=broker.bootstrap, partitions=2)))
        yield broker


async def unavailable(door: Door) -> None:
    """Wait until calls are refused because Kafka can't be reached."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await door.post("/stocks", {"sku": 1})).code != "unavailable":
            pass


async def served(door: Door, shop: Shop) -> bool:
    """Make a call and send its reply."""
    call = door.begin("/stocks", {"sku": 1})
    await shop.reply(await shop.request(), STOCKS)
    return (await call).status == 200


async def test_a_gateway_survives_an_outage_of_its_broker(broker: EmbeddedKafka):
    async with running(broker.bootstrap, REPLY_TIMEOUT_SECONDS="2") as gateway:
        door = gateway.door
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)
            in_flight = door.begin("/stocks", {"sku": 1})
            await shop.request()
        broker.kill()
        assert (await in_flight).code == "timeout"
        await unavailable(door)
        await responses_without_kafka(door)
        broker.start()
        await broker.ready()
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)
        assert gateway.process.returncode is None


async def test_a_broker_that_does_not_respond_is_an_outage(broker: EmbeddedKafka):
    async with running(broker.bootstrap) as gateway:
        door = gateway.door
        await door.ready()
        os.kill(broker.process.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                while (await door.call("GET", "/readyz")).status == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await responses_without_kafka(door)
        finally:
            os.kill(broker.process.pid, signal.SIGCONT)
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)


async def responses_without_kafka(door: Door) -> None:
    """Check the responses of a gateway without Kafka."""
    answer = await door.post("/stocks", {"sku": 1})
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await door.post("/stocks", {"sku": "x"})).code == "bad-request"
    assert (await door.call("GET", "/readyz")).code == "unavailable"
    assert (await door.call("GET", "/livez")).status == 200


async def test_a_gateway_may_start_before_kafka(broker: EmbeddedKafka):
    broker.kill()
    async with running(broker.bootstrap) as gateway:
        door = gateway.door
        assert (await door.call("GET", "/livez")).status == 200
        assert (await door.call("GET", "/readyz")).code == "unavailable"
        assert (await door.post("/stocks", {"sku": 1})).code == "unavailable"
        broker.start()
        await broker.ready()
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)


async def test_a_gateway_stops_cleanly_without_kafka(broker: EmbeddedKafka):
    async with running(broker.bootstrap) as gateway:
        await gateway.door.ready()
        broker.kill()
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
    broker.start()
    await broker.ready()


async def test_a_record_that_kafka_refuses_does_not_affect_later_ones(
    broker: EmbeddedKafka,
):
    cluster = KafkaSettings(kafka=broker.bootstrap)
    async with open_door(cluster) as door, open_shop(cluster.kafka) as shop:
        assert await served(door, shop)
        await limit_records(cluster, "10")
        answer = await door.post("/stocks", {"sku": 1})
        assert (answer.status, answer.code) == (503, "unavailable")
        await limit_records(cluster, "1000000")
        await door.ready()
        assert await served(door, shop)


async def limit_records(cluster: KafkaSettings, limit: str) -> None:
    """Set the limit of a record in a topic, in bytes."""
    wanted = STOCK_REQUESTS.config(cluster.request_retention) | {"max.message.bytes": limit}
    async with TopicAdmin(cluster) as admin:
        await admin.configure({STOCK_REQUESTS.name: wanted})
