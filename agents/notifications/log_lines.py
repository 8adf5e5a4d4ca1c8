"""The log line of each notice, which waits for no transport."""

import logging

from schemas.order import OrderStatusChanged

_log = logging.getLogger(__name__)


def log_notification(event: OrderStatusChanged) -> None:
    """Log a status that an order took."""
    _log.info(
        'notice event="%s" order=%d user=%d status="%s"',
        event.event_id,
        event.order_id,
        event.user,
        event.status,
    )


def log_withheld(event: OrderStatusChanged) -> None:
    """Log that a user wants no notice."""
    _log.info(
        'notice withheld event="%s" order=%d user=%d status="%s" outcome="opted out"',
        event.event_id,
        event.order_id,
        event.user,
        event.status,
    )
