"""The least permissions that each user of a cluster needs, derived from the topology.

A service is a user and a consumer group, both of its own name. A client of the request
topics is also a user. Its reply topic and its consumer group are named after it; NestJS'
client has its own names for both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from topics.catalog import (
    CART_REQUESTS,
    DEFAULT_REPLIES,
    GATEWAY_REPLIES,
    ORDER_REQUESTS,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.topic import Topic
from topics.topology import SERVICES, Service

GATEWAY = "gateway"
OPERATOR = "topics"
"""The user of `python -m topics create`."""

CLIENT_REQUEST_TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)


class Operation(StrEnum):
    """An operation of Kafka; Read and Write include Describe."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    ALTER_CONFIGS = "AlterConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """A permission; as text, the options of `kafka-acls.sh`.

    Attributes:
        resource: "topic" or "group".
        name: the literal name of the topic or group.
    """

    user: str
    operation: Operation
    resource: str
    name: str

    def __str__(self) -> str:
        principal = f"--add --allow-principal User:{self.user}"
        return f"{principal} --operation {self.operation} --{self.resource} {self.name}"


def acls(clients: Iterable[str] = (), *, nest: bool = False) -> list[Acl]:
    """Return the permissions that the shop and its clients need, and no others.

    Args:
        clients: users outside the shop that send requests over Kafka. Each creates its own
            reply topic, `<client>.replies`.
        nest: whether they use NestJS' client, with the reply topics `<request topic>.reply`
            and the group `<client>-client`.
    """
    allowed = [*_operator(), *_gateway()]
    for service in SERVICES:
        allowed += _service(service)
    for client in clients:
        allowed += _nest_client(client) if nest else _client(client)
    return allowed


def _operator() -> Iterator[Acl]:
    operations = (Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS)
    for topic in TOPICS:
        for operation in operations:
            yield Acl(OPERATOR, operation, "topic", topic.name)


def _gateway() -> Iterator[Acl]:
    yield Acl(GATEWAY, Operation.READ, "topic", GATEWAY_REPLIES.name)
    yield from _topics(GATEWAY, Operation.WRITE, CLIENT_REQUEST_TOPICS)


def _service(service: Service) -> Iterator[Acl]:
    yield Acl(service.name, Operation.READ, "group", service.name)
    yield from _topics(service.name, Operation.READ, service.reads)
    yield from _topics(service.name, Operation.WRITE, service.writes)


def _client(client: str) -> Iterator[Acl]:
    yield Acl(client, Operation.READ, "group", client)
    yield from _topics(client, Operation.WRITE, CLIENT_REQUEST_TOPICS)
    yield from _replies(client, f"{client}.replies")


def _nest_client(client: str) -> Iterator[Acl]:
    yield Acl(client, Operation.READ, "group", f"{client}-client")
    yield from _topics(client, Operation.WRITE, CLIENT_REQUEST_TOPICS)
    for topic in CLIENT_REQUEST_TOPICS:
        yield from _replies(client, f"{topic.name}.reply")


def _replies(client: str, replies: str) -> Iterator[Acl]:
    yield Acl(client, Operation.READ, "topic", replies)
    for service in SERVICES:
        if DEFAULT_REPLIES.keys() & set(service.consumes):  # events have no reply
            yield Acl(service.name, Operation.WRITE, "topic", replies)


def _topics(user: str, operation: Operation, topics: Iterable[Topic]) -> Iterator[Acl]:
    for topic in topics:
        yield Acl(user, operation, "topic", topic.name)
