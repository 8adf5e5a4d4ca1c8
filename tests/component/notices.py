"""A notice, and what brings it to the stand-ins' doors."""

from datetime import UTC, datetime

from agents.notifications.delivery import Delivery, Pauses
from agents.notifications.notice import Notice, notice
from agents.notifications.opt_out import OptOut
from agents.notifications.settings import NotificationSettings
from agents.notifications.transports import Transport, configured
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink

SOON = Pauses(first=0.01, longest=0.05)
BIG = 9223372036854775807


def news(status: Status = Status.AWAITING_PAYMENT) -> Notice:
    event = OrderStatusChanged(
        order_id=8193,
        user=BIG,
        status=status,
        items=(Item(sku=4294967295, count=65535),),
        at=datetime(2026, 11, 23, 16, 31, 5, tzinfo=UTC),
    )
    return notice(event)


def delivery(opted_out: OptOut | tuple[int, ...] = (), **settings) -> Delivery:
    return Delivery(configured(NotificationSettings(**settings)), opted_out, SOON)


def over_smtp(sink: MailSink, login: str = "", how: str = "smtp", **settings) -> Transport:
    """Make the mail transport alone, without anything that retries."""
    url = f"{how}://{login}127.0.0.1:{sink.port}"
    return configured(NotificationSettings(smtp_url=url, **settings))[1]


def over_http(sink: WebhookSink, **settings) -> Transport:
    return configured(NotificationSettings(webhook_url=sink.url, **settings))[1]
