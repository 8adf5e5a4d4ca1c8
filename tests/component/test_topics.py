"""Creation and drift check of topics on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.component.tools import Ended, end, program
from topics.admin import TopicsError, check, create
from topics.catalog import TOPICS
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic, TopicKind


@pytest.fixture
def cluster(kafka: str) -> KafkaSettings:
    return KafkaSettings(kafka=kafka, partitions=2)


def topic(name: str, **different) -> Topic:
    return replace(Topic(name, TopicKind.REQUESTS, "A topic of tests."), **different)


async def test_the_whole_catalogue_is_created_and_then_as_declared(cluster: KafkaSettings):
    await create(cluster)  # some exist: other tests use this broker, too
    assert await check(cluster) == []
    assert await create(cluster) == []


async def test_two_that_create_at_the_same_time_both_succeed(cluster: KafkaSettings):
    mine = [topic("raced")]
    await asyncio.gather(create(cluster, mine), create(cluster, mine))
    assert await check(cluster, mine) == []


async def test_a_missing_topic_is_a_difference(cluster: KafkaSettings):
    assert await check(cluster, [topic("absent")]) == ["absent: missing"]


async def test_changed_retention_is_reported_and_applied(cluster: KafkaSettings):
    await create(cluster, [topic("kept")])
    shorter = cluster.model_copy(update={"request_retention_hours": 1.0})
    kept = [topic("kept")]
    assert await check(shorter, kept) == ["kept: retention.ms is -1, not 3600000"]
    assert await create(shorter, kept) == ["kept: settings changed"]
    assert await check(shorter, kept) == []


async def test_another_number_of_partitions_is_refused_and_nothing_changes(
    cluster: KafkaSettings,
):
    await create(cluster, [topic("grown")])
    more = [topic("grown", partitions=3), topic("never-made")]
    with pytest.raises(TopicsError, match="grown: 2 partitions, not 3"):
        await create(cluster, more)
    assert await check(cluster, more) == [
        "grown: 2 partitions, not 3",
        "never-made: missing",
    ]


async def test_partitions_that_another_client_added_are_reported(cluster: KafkaSettings):
    await create(cluster, [topic("widened")])
    async with admin_of(cluster) as admin:
        await admin.create_partitions({"widened": NewPartitions(3)})
    assert await check(cluster, [topic("widened")]) == ["widened: 3 partitions, not 2"]


async def test_settings_of_operators_are_kept_and_reported_unless_left_to_them(
    cluster: KafkaSettings,
):
    await create(cluster, [topic("theirs")])
    await override(cluster, "theirs", {"min.insync.replicas": "1", "flush.ms": "1000"})
    undeclared = "theirs: flush.ms is set, but not declared"
    async with asyncio.timeout(10):  # the broker applies what its controller has accepted
        while undeclared not in await check(cluster, [topic("theirs")]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await create(cluster, [topic("theirs")])
    assert await check(cluster, [topic("theirs")]) == [undeclared]


async def test_new_topics_have_the_configured_number_of_in_sync_replicas(
    cluster: KafkaSettings,
):
    durable = cluster.model_copy(update={"kafka_min_insync_replicas": 2})
    await create(durable, [topic("durable")])
    name = ConfigResource(ConfigResourceType.TOPIC, "durable")
    async with admin_of(cluster) as admin:
        (response,) = await admin.describe_configs([name])
    ((*_, settings),) = response.resources
    assert {each[0]: each[1] for each in settings}["min.insync.replicas"] == "2"
    assert await check(durable, [topic("durable")]) == []


@pytest.mark.parametrize(
    ("copies", "durability"), [(1, {}), (2, {}), (3, {"min.insync.replicas": "2"})]
)
def test_of_three_copies_two_have_a_record_before_it_is_acknowledged(
    copies: int, durability: dict[str, str]
):
    assert KafkaSettings(kafka_replication=copies).durability == durability


async def test_an_unreachable_cluster_is_reported_in_one_line():
    nowhere = KafkaSettings(kafka="127.0.0.1:1")
    with pytest.raises(TopicsError, match=r"Kafka at 127\.0\.0\.1:1"):
        await check(nowhere)


async def test_without_a_terminal_settings_change_only_with_yes(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
):
    await create(cluster)
    monkeypatch.setenv("REQUEST_RETENTION_HOURS", "5")
    code, out, err = await topics_program(cluster, "create")
    assert (code, out) == (2, b"")
    *lines, last = err.splitlines()
    assert "topics: cart.requests: retention.ms is -1, not 18000000" in lines
    assert last == "topics: no terminal to confirm at; --yes changes the settings"
    monkeypatch.delenv("REQUEST_RETENTION_HOURS")
    assert await check(cluster) == []
    as_declared = f"{len(TOPICS)} topics are as declared\n".encode()
    assert await topics_program(cluster, "create") == (0, as_declared, "")


async def test_yes_changes_settings_without_a_confirmation(
    cluster: KafkaSettings, monkeypatch: pytest.MonkeyPatch
):
    await create(cluster)
    monkeypatch.setenv("REQUEST_RETENTION_HOURS", "5")
    code, out, _ = await topics_program(cluster, "create", "--yes")
    assert (code, b"cart.requests: settings changed" in out) == (0, True)
    assert (await topics_program(cluster, "check"))[0] == 0
    monkeypatch.delenv("REQUEST_RETENTION_HOURS")
    assert (await topics_program(cluster, "create", "--yes"))[0] == 0
    assert await check(cluster) == []


async def test_rights_can_not_be_granted_by_a_cluster_without_an_authorizer(
    cluster: KafkaSettings,
):
    code, out, err = await topics_program(cluster, "acls", "--grant")
    assert (code, out) == (1, b"")
    [line] = err.splitlines()
    assert line.startswith("topics: --add --allow-principal User:topics")
    assert "No Authorizer is configured" in line


async def topics_program(cluster: KafkaSettings, *words: str) -> Ended:
    async with program(cluster, "topics", *words) as process:
        return await end(process)


@asynccontextmanager
async def admin_of(cluster: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka)
    await admin.start()
    yield admin
    await admin.close()


async def override(cluster: KafkaSettings, name: str, settings: dict[str, str]) -> None:
    async with admin_of(cluster) as admin:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, settings)]
        )
