"""An event, and the transports that deliver it to the stand-ins."""

from datetime import UTC, datetime

from agents.notifications.transports import Transport, create_transports
from agents.settings import NotificationSettings
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink

BIG = 9223372036854775807


def event(status: Status = Status.AWAITING_PAYMENT) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=8193,
        user=BIG,
        status=status,
        items=(Item(sku=4294967295, count=65535),),
        at=datetime(2026, 11, 23, 16, 31, 5, tzinfo=UTC),
    )


def over_smtp(sink: MailSink, login: str = "", how: str = "smtp", **settings) -> Transport:
    """Return the mail transport, without retries."""
    url = f"{how}://{login}127.0.0.1:{sink.port}"
    [transport] = create_transports(NotificationSettings(smtp_url=url, **settings))
    return transport


def over_http(sink: WebhookSink | None, **settings) -> Transport:
    """Return the webhook transport; `webhook_url` replaces the URL of the sink."""
    url = {"webhook_url": sink.url} if sink else {}
    [transport] = create_transports(NotificationSettings(**url | settings))
    return transport
