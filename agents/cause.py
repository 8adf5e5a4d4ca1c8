"""Context of a request: its time, its identity, and the headers of its follow-ups."""

from dataclasses import dataclass
from datetime import datetime

from schemas.contract import Contract
from schemas.ids import purchase_id


@dataclass(frozen=True, slots=True)
class Cause:
    """The only clock and the only source of ids for the rules; stable on redelivery.

    Attributes:
        timestamp: of the record (the broker's clock), aware, UTC.
        origin: `topic-partition-offset` of the first record of the conversation. It
            identifies one attempt of a client; follow-ups carry it as a header.
        idempotency_key: of the client, shared by all attempts at one request.
        purchase: the request id of the purchase behind this conversation.
    """

    timestamp: datetime
    origin: str
    idempotency_key: str | None = None
    purchase: str | None = None

    @property
    def request_id(self) -> str:
        """The identity of the request: the client's key, or else the record itself."""
        if self.purchase is not None:
            return purchase_id(self.purchase)
        key = self.idempotency_key
        return self.origin if key is None else f"key:{key}"


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """A message whose follow-ups carry a header: the purchase that caused all of them."""

    message: Contract
    purchase: str
