"""A reply topic that accepts no record: only its own client loses replies."""

import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.ops.local.processes import Process
from tests.e2e.clients import KafkaClient, as_record
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import REPLY_TOPIC
from tests.e2e.shop import Shop
from tests.e2e.steps import stocks
from tests.e2e.waiting import until
from tests.standins.broker import answers
from topics.kafka.settings import KafkaSettings

SOON_SECONDS = 5.0
COMMITTED_SECONDS = 60.0
MORE_THAN_MAY_WAIT = 150
"""Concurrent requests: 64 batches may be in flight."""

ANNEX, ANNEX_ID = "annex", 2


class ShopWithAnnex(Shop):
    """A shop with a second broker in its cluster, which has none of the shop's topics."""

    later = (*Shop.later, ANNEX)

    def processes(self) -> list[Process]:
        """Return the processes."""
        place = self.local.directory / ANNEX
        port = self.local.kafka_port + 8
        client = f"PLAINTEXT://127.0.0.1:{port}"
        different = {
            "process.roles": "broker",
            "node.id": str(ANNEX_ID),
            "listeners": client,
            "advertised.listeners": client,
        }
        words = ("--dir", str(place), "--port", str(port), self._voters)
        chosen = (f"--set={name}={text}" for name, text in different.items())
        command = (sys.executable, "-m", "topics.broker", "run", *words, *chosen)
        return [*super().processes(), Process(ANNEX, command)]

    def adapted(self, process: Process) -> Process:
        """Return a process of this shop: a voter of the quorum makes it one cluster."""
        process = super().adapted(process)
        if process.name == "kafka":
            return replace(process, command=(*process.command, self._voters))
        return process

    @property
    def _voters(self) -> str:
        return f"--set=controller.quorum.voters=1@127.0.0.1:{self.local.kafka_port + 1}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def annexed(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[ShopWithAnnex]:
    """The shop without the second broker."""
    async with ShopWithAnnex(tmp_path_factory.mktemp("annexed")).opened() as shop:
        yield shop


async def _goes_on(kafka: Kafka, ids: IdFactory, reply_topic: str) -> None:
    """Send one client's replies to such a topic; another client must be served."""
    topics, sku = KafkaClient(kafka), ids.sku()
    for n in range(MORE_THAN_MAY_WAIT):
        sent = as_record("receiveStock", {"sku": sku, "warehouseID": 1, "count": 1})
        await kafka.send(sent.with_headers((REPLY_TOPIC, reply_topic.encode())))
        began = time.monotonic()
        assert await stocks(topics, sku) == {1: n + 1}
        assert time.monotonic() - began < SOON_SECONDS

    async def committed() -> bool:
        return not await kafka.lag("loms", "stock.requests")

    await until(committed, "all is committed", COMMITTED_SECONDS)


async def test_a_reply_topic_that_accepts_only_smaller_replies_does_not_stop_the_shop(
    kafka: Kafka, ids: IdFactory
):
    await kafka.create("tiny.replies", max_message_bytes="1")
    await _goes_on(kafka, ids, "tiny.replies")


async def test_a_reply_topic_without_a_leader_does_not_stop_the_shop(
    annexed: ShopWithAnnex, ids: IdFactory
):
    kafka = Kafka(annexed.cluster)
    await kafka.start()
    annexed[ANNEX].start()
    both = annexed.cluster.client_options()
    await until(lambda: answers(**both, brokers=2), "the annex is there")
    await _create_there(annexed.cluster, "there.replies")
    await annexed[ANNEX].stop()
    try:
        await _goes_on(kafka, ids, "there.replies")
    finally:
        await kafka.stop()


async def _create_there(cluster: KafkaSettings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**cluster.client_options())
    await admin.start()
    wanted = NewTopic(topic, -1, -1, replica_assignments={0: [ANNEX_ID]})
    answer = await admin.create_topics([wanted])
    assert not answer.topic_errors[0][1], answer
    await admin.close()
