"""The command that serves the pages: its errors, and its end."""

import signal

import aiohttp

from tests.component.tools import begun, end, run
from tests.standins.broker import free_port
from topics.kafka.settings import KafkaSettings


async def test_without_kafka_it_ends_with_one_line(tmp_path):
    nowhere = KafkaSettings(kafka=f"127.0.0.1:{free_port()}")
    port = str(free_port())
    code, out, err = await run(nowhere, "ui", "--port", port)
    assert (code, out) == (1, b"")
    assert err.startswith(f"ui: Kafka at {nowhere.kafka}: ")
    assert err.count("\n") == 1


async def test_an_error_names_a_port_that_is_taken(cluster: KafkaSettings):
    _, _, port = cluster.kafka.rpartition(":")
    code, _, err = await run(cluster, "ui", "--port", port)
    assert code == 1
    assert err.startswith(f"ui: port {port} is taken by another program;")


async def test_it_serves_until_it_is_interrupted(cluster: KafkaSettings, tmp_path):
    port = free_port()
    async with begun(cluster, "ui", "--port", str(port)) as process:
        assert f"http://127.0.0.1:{port}".encode() in await process.stdout.readline()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://localhost:{port}/") as response,
        ):
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        assert (await end(process))[::2] == (0, "")
