"""What people are told when an order takes a status: pure words."""

from dataclasses import dataclass
from datetime import UTC

from schemas.order import OrderStatusChanged, Status


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news, in the same words however often it is made.

    Attributes:
        event: the fact itself, for machines; its user is the one to be told.
        subject: one line of ASCII.
        text: plain text, ASCII, in lines of less than 80 characters.
    """

    event: OrderStatusChanged
    subject: str
    text: str

    @property
    def event_id(self) -> str:
        """What tells a repeat."""
        return self.event.event_id


def notice(event: OrderStatusChanged) -> Notice:
    """Put a fact into words."""
    headline, meaning = _words(event.status)
    subject = f"Order {event.order_id} {headline}"
    lines = (f"  sku {item.sku}, {item.count} pcs" for item in event.items)
    text = "\n".join((f"{subject}.", "", meaning, "", *lines, "", _when(event), ""))
    return Notice(event=event, subject=subject, text=text)


def _words(status: Status) -> tuple[str, str]:
    match status:
        case Status.NEW:
            return "has been received", "Its goods are being set aside for you."
        case Status.AWAITING_PAYMENT:
            return "awaits payment", (
                "Its goods are reserved for you. Without a payment in time the order is\n"
                "cancelled and they are free again."
            )
        case Status.FAILED:
            return (
                "could not be fulfilled",
                "Not all of it is in stock. Nothing is reserved.",
            )
        case Status.PAID:
            return "has been paid", "Thank you. Its goods are yours."
        case Status.CANCELLED:
            return "has been cancelled", "Its goods are no longer reserved."


def _when(event: OrderStatusChanged) -> str:
    return f"{event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
