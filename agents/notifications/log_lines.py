"""The log line of each notification, independent of transports."""

import logging

from schemas.order import OrderStatusChanged

_log = logging.getLogger(__name__)


def log_notification(event: OrderStatusChanged) -> None:
    """Log a status change of an order."""
    _log.info(
        'event=notification id="%s" order=%d user=%d status="%s"',
        event.event_id,
        event.order_id,
        event.user,
        event.status,
    )


def log_withheld(event: OrderStatusChanged) -> None:
    """Log a notification that is not sent, since its user has opted out."""
    _log.info(
        'event=not-notified id="%s" order=%d user=%d status="%s" reason="opted out"',
        event.event_id,
        event.order_id,
        event.user,
        event.status,
    )
