"""Records that take their time: each is an errand of its own, run side by side.

A batch is committed when all its errands are done. When partitions go, errands are given
up: whoever gets the partitions begins them anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.structs import ConsumerRecord

from agents.runtime.desk import Desk
from agents.runtime.hop import hop
from agents.runtime.inbox import Received
from agents.runtime.open_batches import OpenBatches
from agents.runtime.outbox import Outbox, Said
from agents.worker.batches import Catch
from agents.worker.failstop import Heart, die
from topics.conversation import ABOUT
from topics.topic import Topic

MOST = 512
"""Errands under way at once (R10)."""

Send = Callable[[Said], Awaitable[None]]
Errand = Callable[[Received, ConsumerRecord, Send], Awaitable[None]]


class ErrandAgent:
    """Serves the records of a topic, each at its own pace.

    Args:
        app: the Faust app that it runs in.
        topic: whose records.
        errand: carries out one record; what it sends has arrived when it returns.
    """

    def __init__(self, app: Any, topic: Topic, errand: Errand) -> None:
        self._topic = topic
        self._heart: Heart = app.heart
        self._errand = errand
        self._desk = Desk(topic, app.conf.cluster.partitions)
        self._outbox = Outbox(app)
        self._open = OpenBatches()
        self._room = asyncio.Semaphore(MOST)
        self._epoch = 0
        self._under_way: set[asyncio.Task[None]] = set()
        app.when_partitions_go(self._give_up)

    async def run(self, stream: Any) -> None:
        """Serve for ever."""
        async for event in stream.noack().events():
            epoch = self._epoch
            catch: Catch = event.message.value
            event.message.incref(len(catch) - 1)  # each batch is settled on its own
            for batch in catch:
                await self._open.room()
                self._heart.check()
                tasks = [
                    self._begin(record)
                    for record in batch.records
                    if await self._may_begin(epoch)
                ]
                self._open.settle(event, [batch], self._all(tasks, epoch))

    async def _may_begin(self, epoch: int) -> bool:
        """Wait for room for one more errand; False if its partition has gone meanwhile."""
        if epoch != self._epoch:
            return False
        await self._room.acquire()
        if epoch == self._epoch:
            return True
        self._room.release()
        return False

    def _begin(self, record: ConsumerRecord) -> asyncio.Task[None]:
        said = Said(self._topic)
        received = self._desk.take(record, said)
        work = self._send(said) if received is None else self._carry_out(received, record)
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return task

    async def _carry_out(self, received: Received, record: ConsumerRecord) -> None:
        with hop(received, record) as onward:
            ABOUT.set(onward.conversation.headers)
            await self._errand(onward, record, self._send)

    async def _send(self, said: Said) -> None:
        self._heart.check()
        if sent := await self._outbox.send([*said.commands, *said.rest]):
            await asyncio.wait(sent)

    async def _all(self, tasks: list[asyncio.Task[None]], epoch: int) -> None:
        """Wait for the end of a batch's errands; what was given up is not settled."""
        if tasks:
            await asyncio.wait(tasks)
        if epoch != self._epoch:
            raise asyncio.CancelledError

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._room.release()
        if not task.cancelled() and task.exception() is not None:
            die("an errand failed: %r", task.exception())

    async def _give_up(self) -> None:
        self._epoch += 1
        for task in self._under_way:
            task.cancel()
