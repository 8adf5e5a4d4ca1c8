"""Access to the broker: TLS, SCRAM, and exactly the rights that each user needs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest

from agents.runtime.fail_stop import EXIT_CODE
from tests.e2e.clients import HttpClient, as_record
from tests.e2e.guarded import ADMIN, CUSTOMER, REPLIES, UNPRIVILEGED, GuardedShop
from tests.e2e.kafka import Kafka
from tests.e2e.records import CORRELATION_ID, REPLY_TOPIC, Record
from tests.e2e.steps import receive, status
from tests.e2e.waiting import until
from tests.standins.broker import answers
from topics.admin import create
from topics.catalog import SHOP_LAYOUT, TOPICS
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicAdmin
from topics.layout import LAYOUT, Layout
from topics.topic import TopicKind
from topics.topology import GATEWAY, OPERATOR, SERVICES, acls

SKU, USER = 1076963, 7
GIVES_UP_SECONDS = 30


@asynccontextmanager
async def customer(
    guarded: GuardedShop,
) -> AsyncIterator[Callable[[Record], Awaitable[dict]]]:
    """Send requests as a Kafka client with a login; receive replies in its own topic."""
    options = guarded.cluster_of(CUSTOMER).client_options()
    consumer = AIOKafkaConsumer(
        REPLIES, **options, group_id=CUSTOMER, auto_offset_reset="earliest"
    )
    async with AIOKafkaProducer(**options) as producer, consumer:

        async def ask(sent: Record) -> dict:
            headers = [(REPLY_TOPIC, REPLIES.encode()), (CORRELATION_ID, b"mine")]
            await producer.send_and_wait(
                sent.topic, sent.value, key=sent.key, headers=headers
            )
            async with asyncio.timeout(GIVES_UP_SECONDS):
                return json.loads((await consumer.getone()).value)

        yield ask


async def _story(http: HttpClient) -> None:
    await receive(http, SKU, 10)
    await http.do("addToCart", user=USER, sku=SKU, count=2)
    assert (await http.do("listCart", user=USER))["totalPrice"] == 2 * 2202
    order = (await http.do("purchase", user=USER))["orderID"]
    await http.do("orderPayed", orderID=order)
    assert await status(http, order) == "paid"


async def test_the_story_works_with_a_broker_that_requires_a_login(
    guarded: GuardedShop, guarded_http: HttpClient
):
    await _story(guarded_http)


async def test_a_customer_gets_replies_over_kafka_in_a_separate_topic(
    guarded: GuardedShop, admin: Kafka
):
    async with customer(guarded) as ask:
        for sku, count in ((SKU, 2), (1148162, 1)):
            body = {"sku": sku, "warehouseID": 1, "count": count}
            assert await ask(as_record("receiveStock", body)) == {"type": "done"}
        body = {"user": 8, "items": [{"sku": SKU, "count": 1}]}
        placed = await ask(as_record("createOrder", body))
        assert placed["type"] == "orderPlaced"
        body = {"user": 8, "sku": SKU, "count": 1}
        assert await ask(as_record("addToCart", body)) == {"type": "done"}
        assert (await ask(as_record("listCart", {"user": 8})))["totalPrice"] == 2202


@pytest.mark.parametrize("user", [UNPRIVILEGED, CUSTOMER])
async def test_a_user_without_a_right_can_neither_write_nor_read(
    guarded: GuardedShop, user: str
):
    options = guarded.cluster_of(user).client_options()
    for topic in ("loms-stock-changelog", "gateway.replies", "cart.dlq", "order.events"):
        async with AIOKafkaProducer(**options) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic, b"mine now", key=b"1")
    client = AIOKafkaClient(**options)
    await client.bootstrap()
    for topic in ("cart.requests", "gateway.replies", "loms-orders-changelog"):
        assert await _fetch(client, topic) == TopicAuthorizationFailedError.errno
    await client.close()


async def _fetch(client: AIOKafkaClient, topic: str) -> int:
    """Fetch from a partition's beginning; return the broker's error.

    aiokafka's consumer has no error for it: it finds no leader, and retries without end.
    """
    wanted = [(topic, [(0, 0, 2**20)])]
    request = FetchRequest(100, 1, 2**20, 0, wanted)
    answer = await client.send(client.get_random_node(), request)
    [(_, [(_, code, *_)])] = answer.topics
    return code


async def test_a_customer_can_not_join_the_group_of_a_service(guarded: GuardedShop):
    options = guarded.cluster_of(CUSTOMER).client_options()
    consumer = AIOKafkaConsumer(REPLIES, **options, group_id="checkout")
    with pytest.raises(GroupAuthorizationFailedError):
        async with consumer:
            await consumer.getone()


async def test_a_broker_with_a_certificate_for_another_name_is_refused(
    guarded: GuardedShop,
):
    known = guarded.cluster_of(ADMIN)
    assert await answers(**known.client_options())
    by_another_name = known.model_copy(
        update={"kafka": known.kafka.replace("127.0.0.1", "localhost")}
    )
    assert not await answers(**by_another_name.client_options())


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_a_worker_with_a_wrong_password_logs_the_reason_and_ends(
    guarded: GuardedShop, service: str, tmp_path: Path
):
    cluster = guarded.cluster_of(service, "a-wrong-password")
    ran = _run("agents", cluster, service, STATE_DIR=str(tmp_path))
    assert ran.returncode == EXIT_CODE
    _require_one_line(ran.stdout + ran.stderr, "CRITICAL")


def test_a_gateway_with_a_wrong_password_logs_the_reason_and_ends(guarded: GuardedShop):
    cluster = guarded.cluster_of(GATEWAY, "a-wrong-password")
    ran = _run("gateway", cluster, GATEWAY_PORT="0")
    assert ran.returncode == 1
    _require_one_line(ran.stdout + ran.stderr, "CRITICAL")


@pytest.mark.parametrize("command", ["create", "check"])
def test_creating_topics_with_a_wrong_password_fails_with_the_reason(
    guarded: GuardedShop, command: str
):
    ran = _run("topics", guarded.cluster_of(OPERATOR, "a-wrong-password"), command)
    assert ran.returncode == 1
    _require_one_line(ran.stdout + ran.stderr, "does not let us in")


def _require_one_line(output: str, reason: str) -> None:
    [line] = [line for line in output.splitlines() if reason in line]
    assert "Authentication failed" in line
    assert "Traceback" not in output
    assert "a-wrong-password" not in output


def _run(
    module: str, cluster: KafkaSettings, *words: str, **different: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        env=os.environ | _environment(cluster) | different,
        capture_output=True,
        text=True,
        timeout=GIVES_UP_SECONDS,
        check=False,
    )


def _environment(cluster: KafkaSettings) -> dict[str, str]:
    return {
        "KAFKA": cluster.kafka,
        "PARTITIONS": str(cluster.partitions),
        "KAFKA_SECURITY_PROTOCOL": cluster.kafka_security_protocol,
        "KAFKA_SASL_USERNAME": cluster.kafka_sasl_username,
        "KAFKA_SASL_PASSWORD": cluster.kafka_sasl_password.get_secret_value(),
        "KAFKA_SSL_CAFILE": cluster.kafka_ssl_cafile,
    }


async def test_each_declared_right_is_used_and_no_other_one_is(
    guarded: GuardedShop, admin: Kafka, guarded_http: HttpClient
):
    await _story(guarded_http)
    await create(guarded.cluster_of(ADMIN), [SHOP_LAYOUT])
    await admin.send(Record(SHOP_LAYOUT.name, Layout().to_json(), key=LAYOUT))
    for name in ("checkout-1", "loms-1", "notifications-1", "products-1", "gateway-1"):
        # The next one reads the layout, and its table from the changelog.
        await guarded[name].crash()
    await guarded.ready()
    await _have_settings_changed(guarded)
    await _misplace_a_record_everywhere(admin)
    await _poison_everything_with_each_reply_topic(admin)
    wanted = {a for a in acls([CUSTOMER]) if a.operation != "Describe"}
    await until(lambda: guarded.rights_used() >= wanted, "all rights are used", 30)
    assert guarded.rights_used() == wanted


async def _have_settings_changed(guarded: GuardedShop) -> None:
    different = {"retention.ms": "3600001", "segment.bytes": str(2**20)}
    async with TopicAdmin(guarded.cluster_of(ADMIN)) as admin:
        await admin.configure({topic.name: different for topic in TOPICS})
    changed = await create(guarded.cluster)
    assert changed == [f"{topic.name}: settings changed" for topic in TOPICS]


async def _misplace_a_record_everywhere(admin: Kafka) -> None:
    """Send a valid request to each partition; most belong in another one."""
    event = {"type": "orderStatusChanged", "orderID": 1, "user": 1, "status": "new"}
    event |= {"items": [], "at": "2026-01-01T00:00:00Z"}
    priced = {"type": "priceCart", "user": 1, "items": [{"sku": SKU, "count": 1}]}
    for sent in (
        as_record("listCart", {"user": 1}),
        as_record("listOrder", {"orderID": 1}),
        as_record("stocks", {"sku": 1}),
        Record("product.requests", json.dumps(priced).encode()),
        Record("order.events", json.dumps(event).encode()),
    ):
        for partition in range(admin.partitions):
            await admin.send(
                Record(sent.topic, sent.value, headers=sent.headers, partition=partition)
            )


async def _poison_everything_with_each_reply_topic(admin: Kafka) -> None:
    replies = [topic.name for topic in TOPICS if topic.kind is TopicKind.REPLIES]
    for topic in (topic.name for service in SERVICES for topic in service.consumes):
        for reply_topic in (*replies, REPLIES):
            await admin.send(
                Record(topic, b"poison", headers=((REPLY_TOPIC, reply_topic.encode()),))
            )
