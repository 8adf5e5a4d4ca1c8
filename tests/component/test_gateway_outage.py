"""Kafka goes and comes back; the gateway tells, and stays."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.component.door import PATIENCE_SECONDS, Door, open_door
from tests.component.gateway_process import running
from tests.standins.shop import Shop, open_shop
from topics.admin import create
from topics.broker.process import EmbeddedKafka, free_layout
from topics.catalog import STOCK_REQUESTS
from topics.kafka.settings import KafkaSettings

STOCKS = {"type": "stocks", "stocks": []}


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> AsyncIterator[EmbeddedKafka]:
    """A broker that these tests may kill."""
    broker = EmbeddedKafka(free_layout(tmp_path_factory.mktemp("mortal")))
    broker.start_and_wait()
    asyncio.run(create(KafkaSettings(kafka=broker.bootstrap, partitions=2)))
    yield broker
    broker.stop()


async def unavailable(door: Door) -> None:
    """Wait until calls are turned away because Kafka is not there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await door.post("/stocks", {"sku": 1})).code != "unavailable":
            pass


async def served(door: Door, shop: Shop) -> bool:
    """Make a call and answer it."""
    call = door.ask("/stocks", {"sku": 1})
    await shop.reply(await shop.request(), STOCKS)
    return (await call).status == 200


async def test_a_gateway_survives_the_broker_it_is_connected_to(broker: EmbeddedKafka):
    async with running(broker.bootstrap, REPLY_TIMEOUT_SECONDS="2") as gateway:
        door = gateway.door
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)
            under_way = door.ask("/stocks", {"sku": 1})
            await shop.request()
        broker.kill()
        assert (await under_way).code == "timeout"
        await unavailable(door)
        await everything_is_said(door)
        broker.start()
        await broker.ready()
        await door.ready()
        async with open_shop(broker.bootstrap) as shop:
            assert await served(door, shop)
        assert gateway.process.returncode is None


async def everything_is_said(door: Door) -> None:
    """Check what a gateway without Kafka answers."""
    answer = await door.post("/stocks", {"sku": 1})
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await door.post("/stocks", {"sku": "x"})).code == "bad-request"
    assert (await door.call("GET", "/readyz")).code == "unavailable"
    assert (await door.call("GET", "/livez")).status == 200


async def test_a_gateway_may_be_there_before_kafka(broker: EmbeddedKafka):
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


async def test_a_gateway_ends_well_also_without_kafka(broker: EmbeddedKafka):
    async with running(broker.bootstrap) as gateway:
        await gateway.door.ready()
        broker.kill()
        gateway.process.terminate()
        assert await gateway.ends() == 0
    broker.start()
    await broker.ready()


async def test_a_record_that_kafka_refuses_spoils_none_of_the_next(broker: EmbeddedKafka):
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
    """Have the broker refuse what is larger."""
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    wanted = STOCK_REQUESTS.config(cluster.request_retention) | {"max.message.bytes": limit}
    kind = ConfigResourceType.TOPIC
    await admin.alter_configs([ConfigResource(kind, STOCK_REQUESTS.name, wanted)])
    await admin.close()
