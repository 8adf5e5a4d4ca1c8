"""Every topic of the shop, declared once; nothing else names a topic.

Broker topics, Faust topics and the AsyncAPI document are derived from this file. A
message's type is its address (`TOPIC_OF`), so a sender names no topic.
"""

from typing import Annotated

from pydantic import Field, ValidationError

from schemas import decoder
from schemas.cart import CartRequest, CartView, ProductRequest
from schemas.contract import Contract, Done, Refused, shard
from schemas.order import OrderPlaced, OrderRequest, OrderStatusChanged, OrderView
from schemas.stock import StockRequest, StocksView
from topics.topic import Topic, TopicKind

Reply = Annotated[
    Done | Refused | CartView | OrderPlaced | OrderView | StocksView,
    Field(discriminator="type"),
]
"""All replies to a caller, over Kafka or HTTP."""

GATEWAY_REPLY_PARTITIONS = 16

CART_REQUESTS = Topic(
    "cart.requests",
    TopicKind.REQUESTS,
    "Requests to the cart of a user, and responses of stock and orders to it.",
    carries=CartRequest,
    key="user",
)
ORDER_REQUESTS = Topic(
    "order.requests",
    TopicKind.REQUESTS,
    "Requests to orders, and responses of stock to them.",
    carries=OrderRequest,
    key="shard",
)
STOCK_REQUESTS = Topic(
    "stock.requests",
    TopicKind.REQUESTS,
    "Requests to the stock of a sku, from clients, carts and orders.",
    carries=StockRequest,
    key="sku",
)
PRODUCT_REQUESTS = Topic(
    "product.requests",
    TopicKind.REQUESTS,
    "Carts that need names and prices.",
    carries=ProductRequest,
    key="user",
)
ORDER_EVENTS = Topic(
    "order.events",
    TopicKind.EVENTS,
    "Status changes of orders, for Notifications and any other consumer.",
    carries=OrderStatusChanged,
    key="shard",
    event_id="event_id",
)


def _replies(name: str, requests: str, partitions: int | None = None) -> Topic:
    return Topic(
        name,
        TopicKind.REPLIES,
        f"Replies to {requests}.",
        carries=Reply,
        partitions=partitions,
    )


GATEWAY_REPLIES = _replies("gateway.replies", "HTTP calls", GATEWAY_REPLY_PARTITIONS)
CART_REPLIES = _replies("cart.replies", "cart requests without a reply topic")
ORDER_REPLIES = _replies("order.replies", "order requests without a reply topic")
STOCK_REPLIES = _replies("stock.replies", "stock requests without a reply topic")


DEAD_LETTERS = {
    source: Topic(
        name,
        TopicKind.DEAD_LETTERS,
        f"Records of {source.name} that can't be processed, with the reason in headers.",
    )
    for name, source in (
        ("cart.dlq", CART_REQUESTS),
        ("order.dlq", ORDER_REQUESTS),
        ("stock.dlq", STOCK_REQUESTS),
        ("product.dlq", PRODUCT_REQUESTS),
        ("notifications.dlq", ORDER_EVENTS),
    )
}

DEFAULT_REPLIES = {
    CART_REQUESTS: CART_REPLIES,
    ORDER_REQUESTS: ORDER_REPLIES,
    STOCK_REQUESTS: STOCK_REPLIES,
    PRODUCT_REQUESTS: CART_REPLIES,
}


def _shard_of(order: str) -> str:
    return str(shard(int(order)))


def _order_of_notification(row: str) -> str:
    order, colon, _status = row.partition(":")
    return order if colon else row.rpartition("/")[2]


CARTS_CHANGELOG = Topic(
    "checkout-carts-changelog",
    TopicKind.CHANGELOG,
    "The table of carts, by user.",
    source=CART_REQUESTS,
)
ORDERS_CHANGELOG = Topic(
    "loms-orders-changelog",
    TopicKind.CHANGELOG,
    "The table of orders, by orderID.",
    source=ORDER_REQUESTS,
    owner_of_row=_shard_of,
)
STOCK_CHANGELOG = Topic(
    "loms-stock-changelog",
    TopicKind.CHANGELOG,
    "The table of stock: sku, and sku/orderID.",
    source=STOCK_REQUESTS,
    owner_of_row=lambda row: row.partition("/")[0],
)
SENT_CHANGELOG = Topic(
    "notifications-sent-changelog",
    TopicKind.CHANGELOG,
    "Notifications by orderID:status; pending ones by transport/offset/orderID.",
    source=ORDER_EVENTS,
    owner_of_row=lambda row: _shard_of(_order_of_notification(row)),
)

SHOP_LAYOUT = Topic(
    "shop.layout",
    TopicKind.CHANGELOG,
    "How often the topics were repartitioned; only a repartition creates it.",
    partitions=1,
)
"""Not one of `TOPICS`: without it, the shop was never repartitioned."""

TOPICS = (
    *(CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS, PRODUCT_REQUESTS),
    *(ORDER_EVENTS, GATEWAY_REPLIES),
    *(CART_REPLIES, ORDER_REPLIES, STOCK_REPLIES),
    *DEAD_LETTERS.values(),
    *(CARTS_CHANGELOG, ORDERS_CHANGELOG, STOCK_CHANGELOG, SENT_CHANGELOG),
)

TOPIC_OF: dict[type[Contract], Topic] = {
    contract: topic
    for topic in (*DEFAULT_REPLIES, ORDER_EVENTS)
    for contract in topic.contracts
}

_TOPIC_OF_TYPE = dict.fromkeys(GATEWAY_REPLIES.types, "*.replies") | {
    name: topic.name for topic in (*DEFAULT_REPLIES, ORDER_EVENTS) for name in topic.types
}


def explain(topic: Topic, error: ValidationError, value: bytes) -> str:
    """Return the reasons why a value is not a message of a topic."""
    return decoder.explain(error, value, "value", topic.types, _TOPIC_OF_TYPE)
