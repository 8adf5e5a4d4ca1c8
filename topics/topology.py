"""The services of the shop, and the least permissions that each user of a cluster needs.

A service is a user and a consumer group, both of its own name. A client of the request
topics is also a user. Its reply topic and its consumer group are named after it; NestJS'
client has its own names for both.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from topics import catalog
from topics.topic import Topic, TopicKind


@dataclass(frozen=True, slots=True)
class Service:
    """A service: topics of its group, changelogs, topics of commands and events."""

    name: str
    consumes: tuple[Topic, ...]
    tables: tuple[Topic, ...] = ()
    produces: tuple[Topic, ...] = ()

    @property
    def writes(self) -> tuple[Topic, ...]:
        """All topics that it writes.

        They include the consumed topics, since misrouted records are forwarded to their
        owner, and each reply topic of the shop, since a request may name any of them.
        """
        dead = (catalog.DEAD_LETTERS[topic] for topic in self.consumes)
        replies = (topic for topic in catalog.TOPICS if topic.kind is TopicKind.REPLIES)
        return (*self.consumes, *self.tables, *self.produces, *dead, *replies)


SERVICES = (
    Service(
        "checkout",
        consumes=(catalog.CART_REQUESTS,),
        tables=(catalog.CARTS_CHANGELOG,),
        produces=(catalog.ORDER_REQUESTS, catalog.STOCK_REQUESTS, catalog.PRODUCT_REQUESTS),
    ),
    Service(
        "loms",
        consumes=(catalog.ORDER_REQUESTS, catalog.STOCK_REQUESTS),
        tables=(catalog.ORDERS_CHANGELOG, catalog.STOCK_CHANGELOG),
        produces=(catalog.CART_REQUESTS, catalog.ORDER_EVENTS),
    ),
    Service("products", consumes=(catalog.PRODUCT_REQUESTS,)),
    Service(
        "notifications", consumes=(catalog.ORDER_EVENTS,), tables=(catalog.SENT_CHANGELOG,)
    ),
)

GROUPS = {topic: service.name for service in SERVICES for topic in service.consumes}
"""The consumer group of each consumed topic."""

CHANGELOGS = tuple(table for service in SERVICES for table in service.tables)
LOGS = (*GROUPS, *(catalog.DEAD_LETTERS[topic] for topic in GROUPS))
"""The consumed topics and their dead letters."""

GATEWAY = "gateway"
OPERATOR = "topics"
"""The user of `python -m topics create`."""

_CLIENT_REQUEST_TOPICS = (
    catalog.CART_REQUESTS,
    catalog.ORDER_REQUESTS,
    catalog.STOCK_REQUESTS,
)
_REPLYING_SERVICES = dict.fromkeys(GROUPS[topic] for topic in catalog.DEFAULT_REPLIES)

Operation = Literal["Read", "Write", "Create", "Describe", "AlterConfigs"]
"""An operation of Kafka; Read and Write include Describe."""


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """A permission on a topic or a group; as text, the options of `kafka-acls.sh`."""

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
    allowed = [
        Acl(OPERATOR, operation, "topic", topic.name)
        for topic in catalog.TOPICS
        for operation in ("Create", "Describe", "AlterConfigs")
    ]
    allowed += _topics(GATEWAY, "Read", [catalog.GATEWAY_REPLIES, catalog.SHOP_LAYOUT])
    allowed += _topics(GATEWAY, "Write", _CLIENT_REQUEST_TOPICS)
    for service in SERVICES:
        allowed.append(Acl(service.name, "Read", "group", service.name))
        read = (*service.consumes, *service.tables, catalog.SHOP_LAYOUT)
        allowed += _topics(service.name, "Read", read)
        allowed += _topics(service.name, "Write", service.writes)
    for client in clients:
        allowed += _client(client, nest=nest)
    return allowed


def _client(client: str, *, nest: bool) -> Iterator[Acl]:
    group, replies = client, [f"{client}.replies"]
    if nest:
        group = f"{client}-client"
        replies = [f"{topic.name}.reply" for topic in _CLIENT_REQUEST_TOPICS]
    yield Acl(client, "Read", "group", group)
    yield from _topics(client, "Write", _CLIENT_REQUEST_TOPICS)
    for name in replies:
        yield Acl(client, "Read", "topic", name)
        yield from (Acl(user, "Write", "topic", name) for user in _REPLYING_SERVICES)


def _topics(user: str, operation: Operation, topics: Iterable[Topic]) -> Iterator[Acl]:
    return (Acl(user, operation, "topic", topic.name) for topic in topics)
