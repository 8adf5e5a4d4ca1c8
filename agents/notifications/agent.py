"""Notices on Kafka: each status of an order is told once, in order within an order.

Between a notice's delivery and the row that remembers it lies an instant in which a crash
makes it come again; mails and webhooks carry the event's id, so that it can be recognised.
"""

import asyncio
import json
from collections.abc import Container
from functools import cached_property

from aiokafka.structs import ConsumerRecord

from agents.notifications.delivery import Delivery
from agents.notifications.notice import notice
from agents.notifications.opt_out import OptOut
from agents.notifications.settings import NotificationSettings
from agents.notifications.transports import Permanent, configured
from agents.runtime.changelog import Changelog
from agents.runtime.errands import ErrandAgent, Send
from agents.runtime.inbox import Received
from agents.runtime.outbox import Said
from agents.service import Service
from agents.worker.settings import WorkerSettings
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS, SENT


class Notices:
    """Tells people what became of their orders.

    Args:
        service: that this is the work of.
        settings: where notices go.
    """

    def __init__(self, service: Service, settings: NotificationSettings) -> None:
        self._app = service.app
        self._delivery = Delivery(configured(settings), _opted_out(settings))
        self._table = service.table(SENT)
        self._table.on_recover(self._open)

    async def tell(self, received: Received, record: ConsumerRecord, send: Send) -> None:
        """Deliver a notice, unless it was; what nobody will ever take is a dead letter."""
        event = _event(received)
        key, rows = event.event_id.encode(), self._table.data.rows
        if rows.get(record.partition, key) is not None:
            return
        try:
            outcome: str = await self._delivery.deliver(notice(event))
        except Permanent as refusal:
            outcome = str(refusal)
            said = Said(ORDER_EVENTS)
            said.bury(record, str(refusal))
            await send(said)
        told = json.dumps({"at": event.at.isoformat(), "outcome": outcome})
        row, version = {key: told.encode()}, record.offset + 1
        rows.put(record.partition, row, version)
        await asyncio.wait([self._sent.append(record.partition, row, version)])

    async def _open(self) -> None:
        await self._sent.open()

    @cached_property
    def _sent(self) -> Changelog:
        return Changelog(self._app.press, SENT, self._table.data.rows)


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
