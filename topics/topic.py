"""The declaration of a topic."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, get_args

from schemas.contract import Contract
from schemas.decoder import MISSING, Decoder, invalid


class TopicKind(StrEnum):
    """The role of a topic; its broker settings follow from it."""

    REQUESTS = "requests"
    EVENTS = "events"
    REPLIES = "replies"
    DEAD_LETTERS = "dead letters"
    CHANGELOG = "changelog"


FOREVER = timedelta(milliseconds=-1)

_SETTINGS: dict[TopicKind, dict[str, str]] = {
    # The broker's clock stamps requests: deadlines do not depend on clients' clocks.
    TopicKind.REQUESTS: {"message.timestamp.type": "LogAppendTime"},
    TopicKind.EVENTS: {},
    # A segment is deleted when its newest record has expired, so segments are small.
    TopicKind.REPLIES: {"segment.bytes": str(16 * 2**20), "segment.ms": str(3_600_000)},
    # Twice the broker's default: the largest record of a request topic must fit together
    # with the reason.
    TopicKind.DEAD_LETTERS: {"max.message.bytes": str(2 * 2**20)},
    # No compaction within an hour, which is longer than a worker can be paused. But within
    # a day: then erased data is gone. A day later its tombstone is deleted, too; local rows
    # depend on that time (agents/runtime/state_store.py).
    TopicKind.CHANGELOG: {
        "cleanup.policy": "compact",
        "segment.bytes": str(16 * 2**20),
        "min.compaction.lag.ms": str(3_600_000),
        "max.compaction.lag.ms": str(86_400_000),
        "delete.retention.ms": str(86_400_000),
        "min.cleanable.dirty.ratio": "0.2",
    },
}


@dataclass(frozen=True, eq=False)
class Topic:
    """The declaration of a Kafka topic.

    Attributes:
        doc: a sentence for documents and user interfaces.
        carries: the union of the contracts of values; None for bytes.
        key: the attribute of a contract whose decimal text is the record key.
        event_id: the attribute of a contract that identifies an event.
        retention: the time that records stay; None leaves it to compaction. Request
            topics have a setting instead, see `retention_with`.
        partitions: None for the setting `PARTITIONS`.
    """

    name: str
    kind: TopicKind
    doc: str
    carries: Any = None
    key: str = ""
    event_id: str = ""
    retention: timedelta | None = FOREVER
    partitions: int | None = None

    @property
    def contracts(self) -> tuple[type[Contract], ...]:
        """The contracts of the values."""
        if self.carries is None:
            return ()
        union, *_ = get_args(self.carries) or (self.carries,)
        return get_args(union) or (union,)

    def retention_with(self, request_retention: timedelta) -> timedelta | None:
        """Return the time that records stay; request topics take it from the setting."""
        return request_retention if self.kind is TopicKind.REQUESTS else self.retention

    def config(self, request_retention: timedelta) -> dict[str, str]:
        """Return the broker's settings of this topic, for its admin API."""
        time = self.retention_with(request_retention)
        retention = {} if time is None else {"retention.ms": str(milliseconds(time))}
        return _SETTINGS[self.kind] | retention

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The possible values of the field `type`."""
        return tuple(name for contract in self.contracts for name in wire_types(contract))

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.carries)

    def decode(self, value: bytes) -> Contract:
        """Return the message of a record's value.

        Raises:
            pydantic.ValidationError: the value breaks the contract.
        """
        message = self._decoder.decode(value)
        if "type" not in message.__pydantic_fields_set__:  # pydantic needs it in a union
            raise invalid(MISSING, "is missing", ("type",))
        return message

    def key_of(self, message: Contract) -> bytes:
        """Return the record key of a message: decimal text."""
        return str(getattr(message, self.key)).encode()

    def event_id_of(self, event: Contract) -> bytes:
        """Return the id of an event, the same for a repeated event."""
        return str(getattr(event, self.event_id)).encode()


def milliseconds(time: timedelta) -> int:
    """Return a time as Kafka's settings have it."""
    return time // timedelta(milliseconds=1)


def wire_type(contract: type[Contract]) -> str:
    """Return the value of `type` in a message."""
    name: str = contract.model_fields["type"].default
    return name


def wire_types(contract: type[Contract]) -> tuple[str, ...]:
    """Return the possible values of `type` in a message."""
    return get_args(contract.model_fields["type"].annotation)
