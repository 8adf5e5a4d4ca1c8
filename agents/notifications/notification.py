"""The text and the HTML of a notification: a pure function of the event."""

from datetime import UTC
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader

from schemas.order import OrderStatusChanged, Status

WIDTH = 76
"""Columns of a text line: a mail program can quote it within 80 columns."""

WORDS = {
    Status.NEW: ("has been received", "Its items are being reserved for you."),
    Status.AWAITING_PAYMENT: (
        "awaits payment",
        (
            "Its items are reserved for you. Without a payment in time the order is"
            " cancelled and the reservation ends."
        ),
    ),
    Status.FAILED: (
        "could not be fulfilled",
        "Not all of its items are in stock. Nothing is reserved.",
    ),
    Status.PAID: ("has been paid", "Thank you. Its items are yours."),
    Status.CANCELLED: ("has been cancelled", "Its items are no longer reserved."),
}
"""What happened to an order, and what it means to the buyer."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
)


class Notification(NamedTuple):
    """The parts of a mail: ASCII, in lines that no mail program breaks.

    It has skus and counts only: the event has neither product names nor prices. Mail
    programs drop style sheets and scripts, and some invert colours. So the HTML is a plain
    table without colours and pictures.
    """

    subject: str
    text: str
    html: str


def render(event: OrderStatusChanged) -> Notification:
    """Return the notification of an event."""
    headline, meaning = WORDS[event.status]
    subject, meaning = f"Order {event.order_id} {headline}", fill(meaning, WIDTH)
    total = f"{_units(sum(item.count for item in event.items))} in total"
    when = f"As of {event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    items = (f"  sku {item.sku}, {_units(item.count)}\n" for item in event.items)
    text = f"{subject}.\n\n{meaning}\n\n{''.join(items)}\n{total}.\n{when}.\n"
    html = _TEMPLATES.get_template("mail.html").render(
        subject=subject, meaning=meaning, items=event.items, total=total, when=when
    )
    return Notification(subject, text, f"{html}\n")


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"
