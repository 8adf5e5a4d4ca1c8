"""What is audited: which topics, who reads them, and which tables are folded from them."""

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from agents.ops.audit.replay import AnyAggregate
from topics.catalog import (
    CART_REQUESTS,
    DEAD_LETTERS,
    ORDER_EVENTS,
    ORDER_REQUESTS,
    PRODUCT_REQUESTS,
    SENT_CHANGELOG,
    STOCK_REQUESTS,
)
from topics.topic import Topic

GROUPS = {
    CART_REQUESTS: "checkout",
    ORDER_REQUESTS: "loms",
    STOCK_REQUESTS: "loms",
    PRODUCT_REQUESTS: "products",
    ORDER_EVENTS: "notifications",
}
"""The topics that are read, and by whom."""

AGGREGATES: dict[Topic, AnyAggregate] = {
    a.requests: a for a in (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
}
"""Those that a table is folded from."""

SOURCES = {aggregate.changelog: aggregate for aggregate in AGGREGATES.values()}
"""Tables by their changelog."""

CHANGELOGS = (*SOURCES, SENT_CHANGELOG)
LOGS = (*GROUPS, *DEAD_LETTERS.values())
