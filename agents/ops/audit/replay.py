"""One partition of a request topic, folded from its first record by the pure rules.

What a worker does with records that are poison, strangers or badly addressed is done by
the worker's own parts; only Kafka, tables and clocks are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import ConsumerRecord
from pydantic import TypeAdapter

from agents.aggregate import Aggregate, OutgoingMessage
from agents.runtime.collector import ProducerRecord, RecordCollector
from agents.runtime.deserializer import Envelope
from agents.runtime.router import RecordRouter
from topics.topic import Topic

AnyAggregate = Aggregate[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class ReplayedRecord:
    """What one record came to.

    Attributes:
        record: the record.
        received: the request that it is; None: it was none, or not this owner's.
        keys: the rows that it is about.
        before: the state that it found.
        after: the state that it left; the same object if nothing happened.
        messages: what the rules said, in their words.
        letters: what was to be sent in the end; replies too.
    """

    record: ConsumerRecord
    envelope: Envelope | None
    keys: tuple[str, ...]
    before: Any
    after: Any
    messages: Sequence[OutgoingMessage]
    records_sent: Sequence[ProducerRecord]

    @property
    def changed(self) -> bool:
        """Whether anything happened."""
        return self.after is not self.before


class PartitionReplay:
    """The fold of one partition, as far as it was read.

    Args:
        topic: the request topic.
        partition: which partition of it.
        partitions: how many it has.
        aggregate: whose rules decide; None: nothing is kept of this topic, and only what
            is no request of it, or not its owner's, leads to anything.

    Attributes:
        rows: the table, as values.
        touched: the offset of the last record that changed each row.
        offset: the end of what is folded in.
    """

    def __init__(
        self,
        topic: Topic,
        partition: int,
        partitions: int,
        aggregate: AnyAggregate | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.aggregate = aggregate
        self.rows: dict[str, Any] = {}
        self.changed_at: dict[str, int] = {}
        self.offset = 0
        self._desk = RecordRouter(topic, partitions)
        self._stops: list[tuple[int, Callable[[], None]]] = []

    def at_offset(self, offset: int, do: Callable[[], None]) -> None:
        """Have something done when exactly the records below an offset are folded in."""
        self._stops.append((offset, do))
        self._stops.sort(key=lambda stop: -stop[0])

    @property
    def furthest_stop(self) -> int:
        """The offset of the last thing that is still to be done."""
        return self._stops[0][0] if self._stops else 0

    def advance_to(self, offset: int) -> None:
        """Note that there is no further record below an offset."""
        while self._stops and self._stops[-1][0] <= offset:
            self._stops.pop()[1]()
        self.offset = max(self.offset, offset)

    def take(self, record: ConsumerRecord) -> ReplayedRecord:
        """Let the next record take its turn."""
        self.advance_to(record.offset)
        out = RecordCollector(self.topic)
        envelope = self._desk.route(record, out)
        if envelope is None or self.aggregate is None:
            replayed = ReplayedRecord(
                record,
                envelope,
                (),
                None,
                None,
                (),
                [*out.commands, *out.replies_and_events],
            )
        else:
            replayed = self._turn(self.aggregate, record, envelope, out)
        self.offset = record.offset + 1
        return replayed

    def state(self, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 -- of any aggregate
        """Return the state that lies under these keys."""
        if self.aggregate is None:
            return None
        return self.aggregate.state(*map(self.rows.get, keys))

    def _turn(
        self,
        aggregate: AnyAggregate,
        record: ConsumerRecord,
        envelope: Envelope,
        out: RecordCollector,
    ) -> ReplayedRecord:
        request, cause = envelope.request, envelope.cause
        keys = aggregate.identify(request, cause)
        before = aggregate.state(*map(self.rows.get, keys))
        after, messages = aggregate.step(before, request, cause)
        if after is not before:
            self._keep(keys, after, record.offset)
        for message in messages:
            out.add(message, envelope)
        records = [*out.commands, *out.replies_and_events]
        return ReplayedRecord(record, envelope, keys, before, after, messages, records)

    def _keep(self, keys: tuple[str, ...], after: Any, offset: int) -> None:  # noqa: ANN401
        rows = after if len(keys) > 1 else (after,)
        for key, row in zip(keys, rows, strict=True):
            if row is not self.rows.get(key):
                self.rows[key] = row
                self.changed_at[key] = offset
                if row is None:
                    del self.rows[key]


def adapter_of(aggregate: AnyAggregate, key: str) -> TypeAdapter[Any]:
    """Return what reads a row's JSON: entries lie beside what their key begins with."""
    return aggregate.adapters[min(key.count("/"), len(aggregate.adapters) - 1, 1)]
