"""The text and the HTML of a notification: a pure function of the event."""

from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, FileSystemLoader

from schemas.order import OrderStatusChanged, Status

WIDTH = 76
"""Columns of a text line: a mail program can quote it within 80 columns."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification, the same at each attempt.

    It has skus and counts only: the event has neither product names nor prices.

    Attributes:
        event: the event itself, for programs; the notification goes to its user.
        subject: the order and its new status, one line of ASCII.
        meaning: the consequence for the user, in a sentence or two of ASCII.
    """

    event: OrderStatusChanged
    subject: str
    meaning: str

    @property
    def total(self) -> str:
        """The number of all units."""
        return f"{units(sum(item.count for item in self.event.items))} in total"

    @property
    def when(self) -> str:
        """The time of the status change."""
        return f"As of {self.event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    @property
    def text(self) -> str:
        """Plain text, ASCII, in lines that no mail program breaks."""
        items = (f"  sku {item.sku}, {units(item.count)}" for item in self.event.items)
        return "\n".join(
            (
                f"{self.subject}.\n",
                f"{fill(self.meaning, WIDTH)}\n",
                *items,
                f"\n{self.total}.",
                f"{self.when}.",
                "",
            )
        )

    @property
    def html(self) -> str:
        """A page with the content of `text`.

        Mail programs drop style sheets and scripts, and some invert colours. So the page
        is a plain table without colours and pictures.
        """
        page = _TEMPLATES.get_template("mail.html").render(
            notification=self, meaning=fill(self.meaning, WIDTH)
        )
        return f"{page}\n"


def render(event: OrderStatusChanged) -> Notification:
    """Return the notification of an event."""
    headline, meaning = _words(event.status)
    return Notification(event, f"Order {event.order_id} {headline}", meaning)


def units(count: int) -> str:
    """Return a number of units as text."""
    return "1 unit" if count == 1 else f"{count} units"


def _words(status: Status) -> tuple[str, str]:
    match status:
        case Status.NEW:
            return "has been received", "Its items are being reserved for you."
        case Status.AWAITING_PAYMENT:
            return "awaits payment", (
                "Its items are reserved for you. Without a payment in time the order is"
                " cancelled and the reservation ends."
            )
        case Status.FAILED:
            return (
                "could not be fulfilled",
                "Not all of its items are in stock. Nothing is reserved.",
            )
        case Status.PAID:
            return "has been paid", "Thank you. Its items are yours."
        case Status.CANCELLED:
            return "has been cancelled", "Its items are no longer reserved."
