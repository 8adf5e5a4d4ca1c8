"""What a topic is."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, get_args

from schemas.contract import Contract
from schemas.decoder import MISSING, Decoder, invalid


class TopicKind(StrEnum):
    """What role a topic plays, from which its broker settings follow."""

    REQUESTS = "requests"
    EVENTS = "events"
    REPLIES = "replies"
    DEAD_LETTERS = "dead letters"
    CHANGELOG = "changelog"


FOREVER = timedelta(milliseconds=-1)

_SETTINGS: dict[TopicKind, dict[str, str]] = {
    # The broker's clock stamps requests: deadlines need no trust in anybody else's.
    TopicKind.REQUESTS: {"message.timestamp.type": "LogAppendTime"},
    TopicKind.EVENTS: {},
    # A file of a log goes when its newest record is over: small ones go in time.
    TopicKind.REPLIES: {"segment.bytes": str(16 * 2**20), "segment.ms": str(3_600_000)},
    # Twice the broker's default: a record of any size that a request topic takes must
    # fit in here together with its reason.
    TopicKind.DEAD_LETTERS: {"max.message.bytes": str(2 * 2**20)},
    # No compaction within an hour: longer than a frozen worker can sleep (design: R4).
    # But within a day more: what is erased is then gone, and a day after that also the
    # record which says so (the local rows lean on it: agents/runtime/state_store.py).
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
    """One Kafka topic and all there is to know about it.

    Attributes:
        name: as the broker knows it.
        kind: its role.
        doc: one sentence for documents and for people at a Kafka UI.
        carries: the union of contracts that a record's value may be; None for bytes.
        key: the attribute of a contract whose decimal text keys its records.
        event_id: the attribute of a contract that identifies an event.
        retention: the time that records stay; None leaves it to compaction. Request
            topics have a setting instead, see `retention_with`.
        partitions: how many; None is the shop's own number (`PARTITIONS`).
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
        """The classes that a record's value may be."""
        if self.carries is None:
            return ()
        union, *_ = get_args(self.carries) or (self.carries,)
        return get_args(union) or (union,)

    def retention_with(self, request_retention: timedelta) -> timedelta | None:
        """Return the time that records stay; request topics take it from the setting."""
        return request_retention if self.kind is TopicKind.REQUESTS else self.retention

    def config(self, request_retention: timedelta) -> dict[str, str]:
        """Return the broker's settings of this topic, for its admin API."""
        retention = self.retention_with(request_retention)
        if retention is None:
            return {**_SETTINGS[self.kind]}
        return _SETTINGS[self.kind] | {"retention.ms": str(_milliseconds(retention))}

    @cached_property
    def types(self) -> tuple[str, ...]:
        """What the field `type` of a record may be."""
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
        """Return the identity of an event, the same whenever it is sent again."""
        return str(getattr(event, self.event_id)).encode()


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)


def wire_type(contract: type[Contract]) -> str:
    """Return what `type` says in a message."""
    name: str = contract.model_fields["type"].default
    return name


def wire_types(contract: type[Contract]) -> tuple[str, ...]:
    """Return each text that `type` may be in a message."""
    return get_args(contract.model_fields["type"].annotation)
