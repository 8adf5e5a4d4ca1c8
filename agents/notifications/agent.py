"""Notices on Kafka: each status of an order is told once, in order within an order.

Between a notice's delivery and the row that remembers it lies an instant in which a crash
makes it come again; mails and webhooks carry the event's id, so that it can be recognised.
"""

from collections.abc import Container

import orjson
from aiokafka.structs import ConsumerRecord

from agents.notifications.delivery import Delivery
from agents.notifications.ledger import Ledger
from agents.notifications.notice import notice
from agents.notifications.opt_out import OptOut
from agents.notifications.settings import NotificationSettings
from agents.notifications.transports import Permanent, configured
from agents.runtime.errands import ErrandAgent, Send
from agents.runtime.inbox import Received
from agents.runtime.outbox import Said
from agents.service import Service
from agents.worker.settings import WorkerSettings
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS


class Notices:
    """Tells people what became of their orders.

    Args:
        service: that this is the work of.
        settings: where notices go.
    """

    def __init__(self, service: Service, settings: NotificationSettings) -> None:
        self._delivery = Delivery(configured(settings), _opted_out(settings))
        self.ledger = Ledger(service)

    async def tell(self, received: Received, record: ConsumerRecord, send: Send) -> None:
        """Deliver a notice, unless it was; what nobody will ever take is a dead letter."""
        event = _event(received)
        event_id = event.event_id.encode()
        if self.ledger.has(record.partition, event_id):
            return
        try:
            outcome: str = await self._delivery.deliver(notice(event))
        except Permanent as refusal:
            outcome = str(refusal)
            said = Said(ORDER_EVENTS)
            said.bury(record, str(refusal))
            await send(said)
        told = orjson.dumps({"at": event.at.isoformat(), "outcome": outcome})
        await self.ledger.note(record.partition, event_id, told, record.offset + 1)


def _opted_out(settings: NotificationSettings) -> Container[int]:
    return OptOut(settings.notify_opt_out) if settings.notify_opt_out else ()


def _event(received: Received) -> OrderStatusChanged:
    if not isinstance(received.request, OrderStatusChanged):
        raise TypeError(f"not a fact of {ORDER_EVENTS.name}: {received.request!r}")
    return received.request


def _order(received: Received) -> int:
    return _event(received).order_id


def build(settings: WorkerSettings) -> Service:
    """Make the service.

    Raises:
        ValidationError: a setting of its own makes no sense.
    """
    service = Service("notifications", settings)
    notices = Notices(service, NotificationSettings())
    agent = ErrandAgent(service.app, ORDER_EVENTS, notices.tell, _order)
    service.agent(ORDER_EVENTS, agent.run)
    return service
