"""The declaration of a topic."""

from collections.abc import Callable
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
EVENT_RETENTION = timedelta(days=30)

_SETTINGS: dict[TopicKind, dict[str, str]] = {
    # The broker's clock stamps requests: deadlines do not depend on clients' clocks.
    # Their retention is a setting. Deleted records leave the disk by segments.
    TopicKind.REQUESTS: {
        "message.timestamp.type": "LogAppendTime",
        "segment.bytes": str(64 * 2**20),
    },
    TopicKind.EVENTS: {"retention.ms": str(EVENT_RETENTION // timedelta(milliseconds=1))},
    # A segment is deleted when its newest record has expired, so segments are small.
    TopicKind.REPLIES: {
        "retention.ms": str(3_600_000),
        "segment.bytes": str(16 * 2**20),
        "segment.ms": str(3_600_000),
    },
    # Twice the broker's default: the largest record of a request topic must fit together
    # with the reason.
    TopicKind.DEAD_LETTERS: {"retention.ms": "-1", "max.message.bytes": str(2 * 2**20)},
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
        partitions: None for the setting `PARTITIONS`.
        source: of a changelog: the topic whose records change the rows.
        owner_of_row: of a changelog: returns the key of the records that change a row, by
            the row's key.
    """

    name: str
    kind: TopicKind
    doc: str
    carries: Any = None
    key: str = ""
    event_id: str = ""
    partitions: int | None = None
    source: "Topic | None" = None
    owner_of_row: Callable[[str], str] = str

    @property
    def contracts(self) -> tuple[type[Contract], ...]:
        """The contracts of the values."""
        if self.carries is None:
            return ()
        union, *_ = get_args(self.carries) or (self.carries,)
        return get_args(union) or (union,)

    def config(self, request_retention: timedelta) -> dict[str, str]:
        """Return the broker's settings of this topic, for its admin API."""
        own = {"retention.ms": str(request_retention // timedelta(milliseconds=1))}
        return _SETTINGS[self.kind] | (own if self.kind is TopicKind.REQUESTS else {})

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The possible values of the field `type`."""
        fields = (contract.model_fields["type"] for contract in self.contracts)
        return tuple(name for field in fields for name in get_args(field.annotation))

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
            raise invalid(MISSING, ("type",))
        return message

    def key_of(self, message: Contract) -> bytes:
        """Return the record key of a message: decimal text."""
        return str(getattr(message, self.key)).encode()

    def event_id_of(self, event: Contract) -> bytes:
        """Return the id of an event, the same for a repeated event."""
        return str(getattr(event, self.event_id)).encode()


def wire_type(contract: type[Contract]) -> str:
    """Return the value of `type` in a message."""
    name: str = contract.model_fields["type"].default
    return name


def format_retention(milliseconds: str | int | None) -> str:
    """Return the setting `retention.ms` as text; without it a topic is compacted."""
    if milliseconds is None:
        return "compacted"
    time = timedelta(milliseconds=int(milliseconds))
    if time == FOREVER:
        return "for ever"
    for name, unit in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if time >= unit and not time % unit:
            return f"{time // unit} {name}{'s' if time > unit else ''}"
    return str(time)
