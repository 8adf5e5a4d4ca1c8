"""What a decision answers to, beside the request itself: when it came and who it is."""

from dataclasses import dataclass
from datetime import datetime

from schemas.contract import Contract


@dataclass(frozen=True, slots=True)
class Cause:
    """The only clock and the only source of ids that rules have; both survive redelivery.

    Attributes:
        at: the record's own timestamp (the broker's clock), aware, UTC.
        origin: `topic-partition-offset` of the record that began the conversation; it
            names one attempt of a client and rides along to whatever follows from it.
        key: the client's idempotency key, which all attempts at one request share.
        purchase: the request id of the purchase that this conversation carries out.
    """

    timestamp: datetime
    origin: str
    idempotency_key: str | None = None
    purchase: str | None = None

    @property
    def request_id(self) -> str:
        """What stands for the request: the client's key, or else the record itself."""
        if self.purchase is not None:
            return purchase_id(self.purchase)
        return (
            f"key:{self.idempotency_key}"
            if self.idempotency_key is not None
            else self.origin
        )


def purchase_id(request_id: str) -> str:
    """Name the createOrder of a purchase, apart from any createOrder of a client."""
    return f"purchase:{request_id}"


@dataclass(frozen=True, slots=True)
class ForPurchase:
    """A request that carries out a purchase; all that follows from it says so."""

    request: Contract
    purchase: str
