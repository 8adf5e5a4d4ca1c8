"""Grants permissions on a guarded cluster, as `kafka-acls.sh` does."""

from collections.abc import Iterable

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest

from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicsError, kafka_errors
from topics.topology import Acl, Operation

# Numbers of Kafka's protocol.
_RESOURCES = {"topic": 2, "group": 3}
_OPERATIONS: dict[Operation, int] = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Describe": 8,
    "AlterConfigs": 11,
}
_LITERAL, _ALLOW = 3, 3

_ANY_HOST = "*"


async def grant(cluster: KafkaSettings, permissions: Iterable[Acl]) -> None:
    """Grant permissions, as an administrator; others stay as they are.

    Raises:
        TopicsError: the cluster refuses one, or has no authorizer.
        KafkaAuthenticationError: Kafka refuses the login.
    """
    async with kafka_errors(cluster):
        client = AIOKafkaClient(**cluster.client_options())
        try:
            await client.bootstrap()
            for permission in permissions:
                await _grant(client, permission)
        finally:
            await client.close()


async def _grant(client: AIOKafkaClient, permission: Acl) -> None:
    request = CreateAclsRequest(
        _RESOURCES[permission.resource],
        permission.name,
        _LITERAL,
        f"User:{permission.user}",
        _ANY_HOST,
        _OPERATIONS[permission.operation],
        _ALLOW,
    )
    # Any broker forwards it to the controller.
    response = await client.send(client.get_random_node(), request)
    for code, text in response.creation_responses:
        if code:
            raise TopicsError(f"{permission}: {text or for_code(code).__name__}")
