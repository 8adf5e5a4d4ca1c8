"""Context of a request: its time, its identity, and the headers of its follow-ups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.contract import Contract


@dataclass(frozen=True, slots=True)
class Cause:
    """The only clock and the only source of ids for the rules; stable on redelivery.

    Attributes:
        timestamp: of the record (the broker's clock), aware, UTC.
        origin: `topic-partition-offset` of the first record of the conversation. It
            identifies one attempt of a client; follow-ups carry it as a header.
        idempotency_key: of the client, shared by all attempts at one request.
        headers: extra ones, for rules; follow-ups carry them, too.
    """

    timestamp: datetime
    origin: str
    idempotency_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """The identity of the request: the client's key, or else the record itself."""
        key = self.idempotency_key
        return self.origin if key is None else f"key:{key}"


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """A message with extra headers, of `PROPAGATED`; its follow-ups carry them, too."""

    message: Contract
    headers: Mapping[str, str]
