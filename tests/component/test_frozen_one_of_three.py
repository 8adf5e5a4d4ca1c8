"""Tools at a cluster of three brokers, one of which is frozen (SIGSTOP)."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from agents.ops.repartition.plan import Plan, Step, TopicPlan
from agents.ops.repartition.swap import Swap
from tests.component.tools import run
from tests.e2e.nodes import Node, broker, nodes
from tests.standins.broker import answers, free_port
from topics.admin import create
from topics.catalog import STOCK_REQUESTS
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin

STARTS_SECONDS = 240.0
FAILS_OVER_SECONDS = 60.0
DEAD = "cart.dlq"
TOO_SOON_SECONDS = 3.0
LONG_SESSION = "--set=broker.session.timeout.ms=30000"
"""The time for which a frozen broker stays the leader of its partitions."""


Brokers = dict[Node, subprocess.Popen]


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Start three nodes, with all topics in three copies."""
    directory = tmp_path_factory.mktemp("three")
    there = nodes(3, free_port())
    started: Brokers = {}
    try:
        for node in there:
            command = [*broker(node, there, directory).command, LONG_SESSION]
            with (directory / f"{node.name}.log").open("wb") as log:
                started[node] = subprocess.Popen(command, stdout=log, stderr=log)
        asyncio.run(ready(cluster_of(started)))
        asyncio.run(create(cluster_of(started)))
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def cluster_of(brokers: Brokers, first: int = 1) -> KafkaSettings:
    """Return the cluster, with the node of that number as its first address."""
    there = sorted(brokers, key=lambda node: node.number != first)
    kafka = ",".join(node.address for node in there)
    return KafkaSettings(kafka=kafka, partitions=2, kafka_replication=3)


async def ready(cluster: KafkaSettings) -> None:
    async with asyncio.timeout(STARTS_SECONDS):
        while not await answers(cluster.kafka.split(","), brokers=3):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def leader_of(cluster: KafkaSettings, topic: str) -> int:
    """Return the number of the node that leads partition 0.

    A broker may not have a new topic yet: its answer then has no partitions.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=cluster.kafka.split(","), request_timeout_ms=2000
    )
    await admin.start()
    try:
        async with asyncio.timeout(FAILS_OVER_SECONDS):
            while True:
                [there] = await admin.describe_topics([topic])
                for partition in there["partitions"]:
                    if partition["partition"] == 0 and partition["leader"] >= 0:
                        return int(partition["leader"])
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def is_registered(address: str, number: int) -> bool:
    """Return whether a broker's metadata has the node of that number."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2000)
    await admin.start()
    try:
        there = await admin.describe_cluster()
    except (KafkaError, TimeoutError):  # the request went to the silent broker
        return True
    finally:
        await admin.close()
    return any(each["node_id"] == number for each in there["brokers"])


@contextmanager
def frozen(brokers: Brokers, number: int) -> Iterator[Node]:
    [node] = [node for node in brokers if node.number == number]
    os.kill(brokers[node].pid, signal.SIGSTOP)
    try:
        yield node
    finally:
        os.kill(brokers[node].pid, signal.SIGCONT)


async def test_a_silent_broker_is_named_and_after_its_failover_the_tool_works(
    brokers: Brokers,
):
    number = await leader_of(cluster_of(brokers), DEAD)
    cluster = cluster_of(brokers, first=number)
    alive = [node.address for node in brokers if node.number != number]
    began = time.monotonic()
    with frozen(brokers, number) as node:
        code, out, err = await run(cluster, "dlq", "list", DEAD)
        assert (code, out) == (1, b"")
        assert err == f"dlq: Kafka at {node.address} does not answer within 10 s\n"
        assert 10 < time.monotonic() - began < 30
        async with asyncio.timeout(FAILS_OVER_SECONDS):
            for address in alive:
                while await is_registered(address, number):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        ended = await run(cluster, "dlq", "list", DEAD)
        assert ended == (0, b"", "")


class StopError(Exception):
    """The topic is frozen; what follows is not wanted."""


async def test_a_frozen_topic_has_the_records_that_a_replica_lacked(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
):
    """Until that replica has them they can't be read, but clients may get their answer."""
    topic = replace(STOCK_REQUESTS, name="lagging.requests")
    async with TopicAdmin(cluster_of(brokers)) as admin:
        await admin.create_and_wait(topic.name, 1, 3, {})
    leader = await leader_of(cluster_of(brokers), topic.name)
    lagging = leader % 3 + 1
    [address] = [node.address for node in brokers if node.number == leader]
    cluster = KafkaSettings(kafka=address)
    monkeypatch.setattr(AIOKafkaClient, "get_random_node", lambda _: leader)
    ends: list[int] = []

    async def catch_up(*_: object) -> None:
        async with TopicReader(cluster) as reader:
            [part] = (await reader.offset_ranges({topic: 1})).values()
        ends.append(part.end)
        raise StopError

    planned = TopicPlan(1, 3, {}, step=Step.STAGED)
    staging: Any = SimpleNamespace(catch_up=catch_up)
    async with (
        TopicAdmin(cluster) as admin,
        AIOKafkaProducer(**cluster.client_options(), acks=1) as producer,
    ):
        swap: Any = Swap(cluster, admin, staging, Plan(2, 1, {topic.name: planned}), None)
        with frozen(brokers, lagging):
            await producer.send_and_wait(topic.name, b"late")
            replacing = asyncio.create_task(swap.replace(topic, lambda _: None))
            await asyncio.wait({replacing}, timeout=TOO_SOON_SECONDS)
        with pytest.raises(StopError):
            await replacing
    assert ends == [2]  # the request, and the last record
