"""The gateway as a process: its start and its end."""

import asyncio
import signal

import aiohttp
import pytest

from tests.component import gateway_process
from tests.component.door import Door, open_door
from tests.component.gateway_process import running
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

DONE = {"type": "done"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_calls_in_flight_get_their_replies_before_the_end(
    cluster: KafkaSettings, shop: Shop, number: signal.Signals
):
    async with running(cluster.kafka) as gateway:
        await gateway.door.ready()
        call = gateway.door.begin("/orderPayed", {"orderID": 1})
        request = await shop.request()
        gateway.process.send_signal(number)
        await gateway.logs("event=draining")
        with pytest.raises(aiohttp.ClientConnectorError):
            await Door(aiohttp.ClientSession(), gateway.door.port).call("GET", "/livez")
        await shop.reply(request, DONE)
        answer = await call
        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
        assert await gateway.exit_code() == 0


async def test_calls_in_flight_time_out_at_the_end(cluster: KafkaSettings, shop: Shop):
    async with running(cluster.kafka, REPLY_TIMEOUT_SECONDS="1") as gateway:
        await gateway.door.ready()
        call = gateway.door.begin("/orderPayed", {"orderID": 1})
        await shop.request()
        gateway.process.terminate()
        assert (await call).code == "timeout"
        assert await gateway.exit_code() == 0


async def test_calls_that_time_out_do_not_fill_the_log(cluster: KafkaSettings):
    async with running(cluster.kafka, REPLY_TIMEOUT_SECONDS="1") as gateway:
        await gateway.door.ready()
        calls = [gateway.door.begin("/orderPayed", {"orderID": 1}) for _ in range(50)]
        assert {(await call).code for call in calls} == {"timeout"}
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
        assert sum("event=timeout" in line for line in gateway.log) == 1


async def test_an_idle_connection_does_not_delay_the_end(cluster: KafkaSettings):
    async with running(cluster.kafka) as gateway:
        assert (await gateway.door.call("GET", "/livez")).status == 200
        gateway.process.terminate()
        async with asyncio.timeout(5):
            assert await gateway.exit_code() == 0


async def test_two_gateways_share_only_kafka(cluster: KafkaSettings, shop: Shop):
    async with (
        running(cluster.kafka, GATEWAY_INDEX="1") as other,
        open_door(cluster, gateway_index=2) as one,
    ):
        await other.door.ready()
        calls = [door.begin("/orderPayed", {"orderID": 1}) for door in (one, other.door)]
        for request in await shop.requests(2):
            await shop.reply(request, DONE)
        assert [(await call).status for call in calls] == [200, 200]


async def test_a_port_in_use_is_reported_in_one_line(cluster: KafkaSettings):
    async with open_door(cluster) as door:
        gateway = await gateway_process.start(cluster.kafka, GATEWAY_PORT=str(door.port))
        assert await gateway.exit_code() == 1
        assert "event=cannot-serve" in gateway.log[-1]
        assert "Traceback" not in "".join(gateway.log)


async def test_invalid_settings_are_named(cluster: KafkaSettings):
    gateway = await gateway_process.start(cluster.kafka, MAX_IN_FLIGHT="none")
    assert await gateway.exit_code() == 2
    assert "name=max_in_flight" in gateway.log[-1]
