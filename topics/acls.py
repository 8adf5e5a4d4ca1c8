"""Who may do what: the least that each user of a cluster needs, derived from the catalogue.

A service is a user and a consumer group, both of its own name. A client of the request
topics is a user, too, with a reply topic and a consumer group named after it. NestJS'
client names both in its own way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from topics.catalog import (
    CART_REQUESTS,
    CARTS_CHANGELOG,
    DEAD_LETTERS,
    DEFAULT_REPLIES,
    GATEWAY_REPLIES,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    ORDERS_CHANGELOG,
    PRODUCT_REQUESTS,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.topic import Topic, TopicKind

GATEWAY = "gateway"
OPERATOR = "topics"
"""Who runs `python -m topics create`."""

CLIENT_REQUEST_TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)


class Operation(StrEnum):
    """What may be done, as Kafka calls it; reading and writing include describing."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    ALTER_CONFIGS = "AlterConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One permission; as text, what `kafka-acls.sh` takes.

    Attributes:
        resource: "topic" or "group".
        name: of the topic or group, literally.
    """

    user: str
    operation: Operation
    resource: str
    name: str

    def __str__(self) -> str:
        """Write it for the command line."""
        who = f"--add --allow-principal User:{self.user}"
        return f"{who} --operation {self.operation} --{self.resource} {self.name}"


@dataclass(frozen=True, slots=True)
class Service:
    """What a service has to do with topics.

    Attributes:
        serves: whose records it reads.
        tables: its changelogs.
        tells: what it sends to others, beside replies and dead letters.
    """

    name: str
    consumes: tuple[Topic, ...]
    tables: tuple[Topic, ...] = ()
    produces: tuple[Topic, ...] = ()

    @property
    def reads(self) -> tuple[Topic, ...]:
        """What it must be able to read."""
        return (*self.consumes, *self.tables)

    @property
    def writes(self) -> tuple[Topic, ...]:
        """What it must be able to write.

        What it serves as well: misplaced records are passed on to their owners. And each
        reply topic of ours: whoever asks may name any of them.
        """
        dead = (DEAD_LETTERS[topic] for topic in self.consumes)
        replies = (topic for topic in TOPICS if topic.kind is TopicKind.REPLIES)
        return (*self.consumes, *self.tables, *self.produces, *dead, *replies)


SERVICES = (
    Service(
        "checkout",
        consumes=(CART_REQUESTS,),
        tables=(CARTS_CHANGELOG,),
        produces=(ORDER_REQUESTS, STOCK_REQUESTS, PRODUCT_REQUESTS),
    ),
    Service(
        "loms",
        consumes=(ORDER_REQUESTS, STOCK_REQUESTS),
        tables=(ORDERS_CHANGELOG, STOCK_CHANGELOG),
        produces=(CART_REQUESTS, ORDER_EVENTS),
    ),
    Service("products", consumes=(PRODUCT_REQUESTS,)),
    Service("notifications", consumes=(ORDER_EVENTS,), tables=(SENT_CHANGELOG,)),
)


def acls(clients: Iterable[str] = (), *, nest: bool = False) -> list[Acl]:
    """Return all that must be allowed, and nothing else.

    Args:
        clients: users beside the shop's own who speak to it over Kafka; the reply topic
            of each is `<client>.replies`, which is theirs to create.
        nest: whether they use NestJS' client, whose reply topics are
            `<request topic>.reply` and whose group is `<client>-client`.
    """
    allowed = [*_operator(), *_gateway()]
    for service in SERVICES:
        allowed += _service(service)
    for client in clients:
        allowed += _nest_client(client) if nest else _client(client)
    return allowed


def _operator() -> Iterator[Acl]:
    needed = (Operation.CREATE, Operation.DESCRIBE, Operation.ALTER_CONFIGS)
    for topic in TOPICS:
        yield from (Acl(OPERATOR, each, "topic", topic.name) for each in needed)


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
        if DEFAULT_REPLIES.keys() & set(service.consumes):  # facts are nobody's question
            yield Acl(service.name, Operation.WRITE, "topic", replies)


def _topics(user: str, operation: Operation, topics: Iterable[Topic]) -> Iterator[Acl]:
    for topic in topics:
        yield Acl(user, operation, "topic", topic.name)
