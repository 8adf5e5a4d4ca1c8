"""LOMS on Kafka: orders, stock, the payment deadlines and the metrics of orders."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from aiokafka import TopicPartition
from prometheus_client import Counter, Histogram

from agents.aggregate import Aggregate
from agents.loms import order, stock
from agents.loms.order import Order
from agents.loms.payment_deadlines import PaymentDeadlines, payment_index
from agents.loms.retention import OrderRetention
from agents.row_serde import RowSerde
from agents.runtime.collector import Publisher
from agents.runtime.metrics import DROPPED
from agents.runtime.producer import ProducerRecord
from agents.runtime.sweeper import expiry_index
from agents.runtime.transaction import Change
from agents.settings import LomsSettings
from agents.worker.service import Service
from agents.worker.settings import WorkerSettings
from schemas.order import DeleteOrder, ExpireOrder, OrderRequest, Status
from schemas.stock import StockRequest
from topics.catalog import ORDER_REQUESTS, ORDERS_CHANGELOG, STOCK_CHANGELOG, STOCK_REQUESTS

TICK_SECONDS = 0.25
MAX_EXPIRATIONS_PER_TICK = 2_500
"""10,000 a second: more would block the loop, and with it the group's heartbeats."""

ORDERS = Counter("orders_total", "Statuses that orders took.", ["status"])
SAGA = Histogram(
    "order_saga_duration_seconds",
    "From createOrder to awaiting payment, by the broker's clock.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)
LATENESS = Histogram(
    "order_timeout_lateness_seconds",
    "From the end of the time to pay to the cancellation, by the broker's clock.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 60, 600),
)
_DELETED = DROPPED.labels("orders")
_ORDERS = {status: ORDERS.labels(status) for status in Status}

ORDER_AGGREGATE: Aggregate[Order | None, OrderRequest, order.OrderEvent] = Aggregate(
    requests=ORDER_REQUESTS,
    changelog=ORDERS_CHANGELOG,
    rows=(Order,),
    identify=order.identify,
    decide=order.decide,
    evolve=order.evolve,
    follow_up=order.follow_up,
    index=payment_index,
)
STOCK_AGGREGATE: Aggregate[stock.StockState, StockRequest, stock.StockMoved] = Aggregate(
    requests=STOCK_REQUESTS,
    changelog=STOCK_CHANGELOG,
    rows=(stock.StockLevel, stock.Reservation | stock.Receipt),
    identify=stock.identify,
    decide=stock.decide,
    evolve=stock.evolve,
    follow_up=stock.follow_up,
    state=stock.StockState,
    expires=stock.expires,
    index=expiry_index(
        RowSerde(stock.Reservation | stock.Receipt), stock.expires, b'"at":"'
    ),
)


class Loms:
    """The service of orders and stock."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.service = Service("loms", settings)
        self.service.add_aggregate(STOCK_AGGREGATE)
        self._orders = self.service.add_aggregate(ORDER_AGGREGATE, self._on_change)
        self._publisher = Publisher(self.service.app)
        settings_of_orders = LomsSettings()
        self._time_to_pay = timedelta(seconds=settings_of_orders.payment_timeout_seconds)
        self._deadlines = PaymentDeadlines(self._time_to_pay)
        self.service.add_timer(TICK_SECONDS, self._expire_overdue)
        if days := settings_of_orders.order_retention_days:
            self._retention = OrderRetention(days)
            self.service.add_timer(TICK_SECONDS, self._delete_old)

    def _on_change(self, changes: Sequence[Change]) -> None:
        for _, before, after in changes:
            if after is None:
                _DELETED.inc()
            else:
                observe(before, after, self._time_to_pay)

    async def _expire_overdue(self) -> None:
        """Send an expireOrder to due orders; the next ticks send the excess."""
        overdue = self._deadlines.overdue(self._orders.store, datetime.now(UTC))
        await self._send(islice(overdue, MAX_EXPIRATIONS_PER_TICK))

    async def _delete_old(self) -> None:
        """Send a deleteOrder to the old orders among the next rows."""
        store, now = self._orders.store, datetime.now(UTC)
        await self._send(self._retention.step(store, self._committed, now))

    def _committed(self, partition: int) -> int:
        tp = TopicPartition(ORDER_REQUESTS.name, partition)
        offset: int = self.service.app.consumer.committed_offset(tp)
        return offset

    async def _send(self, requests: Iterable[ExpireOrder | DeleteOrder]) -> None:
        topic, key_of = ORDER_REQUESTS.name, ORDER_REQUESTS.key_of
        await self._publisher.send(
            [ProducerRecord(topic, key_of(each), each.to_json(), []) for each in requests]
        )


def observe(before: Order | None, after: Order, time_to_pay: timedelta) -> None:
    """Observe each status that an order took between two versions of its row."""
    history = after.history
    for n in range(len(before.history) if before else 0, len(history)):
        status, at = history[n].status, history[n].at
        _ORDERS[status].inc()
        if status is Status.AWAITING_PAYMENT:
            SAGA.observe((at - history[0].at).total_seconds())
        previous = history[n - 1]
        if (status, previous.status) == (Status.CANCELLED, Status.AWAITING_PAYMENT):
            late = at - previous.at - time_to_pay
            if late >= timedelta():
                LATENESS.observe(late.total_seconds())


def build(settings: WorkerSettings) -> Service:
    """Build the service.

    Raises:
        ValidationError: a setting of its own is invalid.
    """
    return Loms(settings).service
