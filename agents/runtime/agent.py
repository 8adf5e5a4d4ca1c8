"""An aggregate on Kafka: batches of its request topic in, rows and messages out."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.aggregate import Aggregate
from agents.runtime.changelog import Changelog
from agents.runtime.desk import Desk
from agents.runtime.fold import Fold
from agents.runtime.hop import hop
from agents.runtime.open_batches import OpenBatches
from agents.runtime.outbox import Letter, Outbox, Said, Sent
from agents.store import Store
from agents.worker.batches import Batch, Catch
from agents.worker.failstop import Heart, die
from agents.worker.press import Press
from topics import tracing

Write = tuple[int, dict[bytes, bytes | None], int]
"""A partition, its rows, and the version that they are of."""

Watcher = Callable[[int, Sequence[tuple[str, Any]]], None]


class AggregateAgent:
    """Serves the records of an aggregate's request topic.

    Args:
        app: the Faust app that it runs in.
        aggregate: whose rules decide.
        table: the Faust table that owns the rows.
        watch: is told the rows that each run of records touched, with the partition.
    """

    def __init__(
        self,
        app: Any,
        aggregate: Aggregate[Any, Any, Any],
        table: Any,
        watch: Watcher | None = None,
    ) -> None:
        self._aggregate = aggregate
        self._press: Press = app.press
        self._table = table
        self._heart: Heart = app.heart
        self._watch = watch
        self._desk = Desk(aggregate.requests, app.conf.cluster.partitions)
        self._outbox = Outbox(app)
        self._open = OpenBatches()
        self._saying: asyncio.Task[Sent] | None = None
        self._traced = tracing.is_on()

    async def run(self, stream: Any) -> None:
        """Serve for ever."""
        async for event in stream.noack().events():
            await self._open.room()
            self._heart.check()
            await self._serve(event)

    @property
    def store(self) -> Store:
        """The rows."""
        store: Store = self._table.data.rows
        return store

    async def _serve(self, event: Any) -> None:
        """Fold what was fetched and send its commands; the rest follows behind them."""
        catch: Catch = event.message.value
        said = Said(self._aggregate.requests)
        writes = [write for batch in catch for write in self._fold(batch, said)]
        self._heart.check()
        commands = await self._outbox.send(said.commands)
        self._saying = asyncio.create_task(
            self._say(said.rest, writes, commands, self._saying)
        )
        self._open.settle(event, catch, self._rest(commands, self._saying, said))

    def _fold(self, batch: Batch, said: Said) -> list[Write]:
        """Take each record's turn; return the rows to be written."""
        partition = batch.tp.partition
        if partition not in self.store.progress:
            die("%s came before its rows were recovered", batch.tp)
        folded = self.store.progress[partition].version
        # Rows are written behind the commands of all records that they include: what those
        # commanded has arrived. A second time could find its first forgotten by a cart.
        again = Said(said.source, rest=said.rest, hops=said.hops)
        writes: list[Write] = []
        fold = Fold(self._aggregate, self.store, partition)
        for record in batch.records:
            seen = record.offset < folded
            self._turn(fold, again if seen else said, record, seen=seen)
            if fold.weigh(len(record.value or b"")):
                writes += self._put(fold, partition, record.offset + 1)
                fold = Fold(self._aggregate, self.store, partition)
        return writes + self._put(fold, partition, batch.end)

    def _turn(self, fold: Fold, said: Said, record: ConsumerRecord, *, seen: bool) -> None:
        received = self._desk.take(record, said)
        if received is None:
            return
        if self._traced:
            received = said.hops.enter_context(hop(received, record))
        request, cause = received.request, received.cause
        keys = self._aggregate.identify(request, cause)
        state = fold.state(keys)
        after, messages = self._aggregate.turn(state, request, cause, seen=seen)
        if after is not state:
            fold.put(keys, after)
        for message in messages:
            said.say(message, received)

    def _put(self, fold: Fold, partition: int, version: int) -> list[Write]:
        rows = fold.written()
        if not rows:
            return []
        self.store.put(partition, rows, version)
        if self._watch is not None:
            self._watch(partition, fold.touched())
        return [(partition, rows, version)]

    async def _say(
        self,
        rest: list[Letter],
        writes: list[Write],
        commands: Sent,
        before: asyncio.Task[Sent] | None,
    ) -> Sent:
        """Write rows, send replies and facts: behind all commands up to here (R9).

        Rows too: what lies in the changelog has been said, so that a record that comes
        again after a crash can be answered without anything being said late.
        """
        if commands:
            await asyncio.wait(commands)
        if before is not None and not before.done():
            await before
        written: Sent = {self._changelog.append(*write) for write in writes}
        return written | await self._outbox.send(rest)

    async def _rest(self, sent: Sent, saying: asyncio.Task[Sent], said: Said) -> None:
        """Wait until all that a catch caused is acknowledged."""
        with said.hops:
            if sent := sent | await saying:
                await asyncio.wait(sent)

    @cached_property
    def _changelog(self) -> Changelog:
        return Changelog(self._press, self._aggregate.changelog, self.store)

    async def open(self) -> None:
        """Get ready to write, once the rows are recovered."""
        await self._changelog.open()
