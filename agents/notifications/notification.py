"""What people are told when an order takes a status: pure words."""

from dataclasses import dataclass
from datetime import UTC
from textwrap import fill

from schemas.order import OrderStatusChanged, Status

WIDTH = 76
"""Of a line of text: a mail program that quotes it still has room in 80 columns."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One piece of news, in the same words however often it is made.

    It tells skus and pieces: names of products and prices are not in the fact.

    Attributes:
        event: the fact itself, for machines; its user is the one to be told.
        subject: the order and what happened, one line of ASCII.
        meaning: what follows from it, in a sentence or two of ASCII.
    """

    event: OrderStatusChanged
    subject: str
    meaning: str

    @property
    def event_id(self) -> str:
        """What tells a repeat."""
        return self.event.event_id

    @property
    def total(self) -> str:
        """How much it is all in all."""
        return f"{units(sum(item.count for item in self.event.items))} in all"

    @property
    def when(self) -> str:
        """Since when it is so."""
        return f"As of {self.event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    @property
    def text(self) -> str:
        """The notice as plain text, ASCII, in lines that no mail program breaks."""
        goods = (f"  sku {item.sku}, {units(item.count)}" for item in self.event.items)
        return "\n".join(
            (
                f"{self.subject}.\n",
                f"{fill(self.meaning, WIDTH)}\n",
                *goods,
                f"\n{self.total}.",
                f"{self.when}.",
                "",
            )
        )


def render(event: OrderStatusChanged) -> Notification:
    """Put a fact into words."""
    headline, meaning = _words(event.status)
    return Notification(event, f"Order {event.order_id} {headline}", meaning)


def units(count: int) -> str:
    """Say how many pieces."""
    return "1 piece" if count == 1 else f"{count} pieces"


def _words(status: Status) -> tuple[str, str]:
    match status:
        case Status.NEW:
            return "has been received", "Its goods are being set aside for you."
        case Status.AWAITING_PAYMENT:
            return "awaits payment", (
                "Its goods are reserved for you."
                " Without a payment in time the order is cancelled and they are free again."
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
