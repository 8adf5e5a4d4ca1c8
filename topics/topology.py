"""The services of the shop: the topics that they consume and produce, and their tables.

A service's name is also the name of its user and of its consumer group.
"""

from dataclasses import dataclass

from topics.catalog import (
    CART_REQUESTS,
    CARTS_CHANGELOG,
    DEAD_LETTERS,
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


@dataclass(frozen=True, slots=True)
class Service:
    """The topics of a service.

    Attributes:
        consumes: the topics that its consumer group reads.
        tables: its changelogs.
        produces: topics of its messages, other than replies and dead letters.
    """

    name: str
    consumes: tuple[Topic, ...]
    tables: tuple[Topic, ...] = ()
    produces: tuple[Topic, ...] = ()

    @property
    def reads(self) -> tuple[Topic, ...]:
        """All topics that it reads."""
        return (*self.consumes, *self.tables)

    @property
    def writes(self) -> tuple[Topic, ...]:
        """All topics that it writes.

        They include the consumed topics, since misrouted records are forwarded to their
        owner, and each reply topic of the shop, since a request may name any of them.
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

GROUPS = {topic: service.name for service in SERVICES for topic in service.consumes}
"""The consumer group of each consumed topic."""

CHANGELOGS = tuple(table for service in SERVICES for table in service.tables)
LOGS = (*GROUPS, *(DEAD_LETTERS[topic] for topic in GROUPS))
"""The consumed topics and their dead letters."""
