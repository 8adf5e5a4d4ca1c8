"""Dead letters sent once more, and what becomes of them."""

import asyncio
import json
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, RecordMetadata

from agents.audit.logs import TopicReader
from agents.notifications.pending import PENDING
from agents.runtime.outbox import ProducerRecord
from agents.tools.again import is_silent, letter, request
from agents.tools.caller import Call, Caller
from agents.tools.exits import CannotError
from agents.tools.letters import SOURCES, place_of, why
from agents.tools.reading import READERS, is_read, until_read
from agents.tools.replies import refusal
from schemas.contract import Code
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS, SENT
from topics.topic import Topic


class Fate(StrEnum):
    """What became of a replay."""

    DONE = "done"
    REFUSED = "refused"
    DEAD = "dead again"
    UNKNOWN = "unanswered"


class Outcome(NamedTuple):
    """A fate, and what more is known of it."""

    fate: Fate
    text: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.fate}: {self.text}"


class Replay:
    """Sends dead letters once more.

    Args:
        caller: sends them, and hears of them.
        logs: tells whether somebody has read them.
        patience: how long an outcome is waited for.
    """

    def __init__(self, caller: Caller, logs: TopicReader, patience: timedelta) -> None:
        self._caller = caller
        self._logs = logs
        self._patience = patience.total_seconds()

    async def send(self, dead: ConsumerRecord) -> Outcome:
        """Send one, unless nothing could come of it; return what became of it."""
        source = SOURCES[dead.topic]
        asked = request(source, dead.value)
        try:
            again = letter(dead)
            if isinstance(asked, OrderStatusChanged):
                await self._check_notice(asked)
        except CannotError as reason:
            return Outcome(Fate.REFUSED, f"not replayed: {reason}")
        try:
            return await self._send(again, source, silent=is_silent(asked))
        except KafkaError as error:
            return Outcome(Fate.UNKNOWN, f"Kafka has not confirmed it: {error}")

    async def _send(self, again: ProducerRecord, source: Topic, *, silent: bool) -> Outcome:
        async with self._caller.asked(again) as (sent, call):
            reader, place = READERS[source], _place(sent)
            try:
                async with asyncio.timeout(self._patience):
                    await (self._read(source, sent) if silent else _answered(call))
            except TimeoutError:
                took = (
                    "took" if await is_read(self._logs, source, sent) else "has not taken"
                )
                text = f"{reader} {took} {place}; nothing more within {self._patience:g} s"
                return _heard(call) or Outcome(Fate.UNKNOWN, text)
            said = f"{reader} took {place}, to which nobody need reply"
            return _heard(call) or Outcome(Fate.DONE, said)

    async def _read(self, source: Topic, sent: RecordMetadata) -> None:
        """Wait until its reader is done with a record, and all has been heard of it.

        Before that is committed, a dead letter and a reply of that reader's have arrived.
        """
        await until_read(self._logs, source, sent)
        await self._caller.caught_up()

    async def _check_notice(self, event: OrderStatusChanged) -> None:
        """See that nothing has become of a notice: what has, is not told again.

        So a dead letter of one transport is not sent again by another one either.

        Raises:
            CannotError: it was sent, given up for good, or is still pending.
        """
        row, event_id = None, event.event_id.encode()
        async for record in self._logs.read_partition_of(SENT, ORDER_EVENTS.key_of(event)):
            row = record.value if record.key == event_id else row
        if row is not None:
            outcome = json.loads(row)["outcome"]
            state = "is" if outcome == PENDING else "was settled:"
            raise CannotError(f"its notice, {event.event_id}, {state} {outcome}")


async def _answered(call: Call) -> None:
    """Wait for a reply or a dead letter, for both if the reply is that of poison."""
    await asyncio.wait(call, return_when=asyncio.FIRST_COMPLETED)
    if call.reply.done():
        no = refusal(call.reply.result())
        if no is not None and no.code == Code.BAD_REQUEST:
            await asyncio.wait([call.dead])


def _heard(call: Call) -> Outcome | None:
    if call.dead.done():
        letter = call.dead.result()
        text = f"{place_of(letter)}: {why(letter).get('reason')}"
        return Outcome(Fate.DEAD, text)
    if call.reply.done():
        no = refusal(call.reply.result())
        if no is not None:
            return Outcome(Fate.REFUSED, str(no))
        return Outcome(Fate.DONE, call.reply.result().decode())
    return None


def _place(sent: RecordMetadata) -> str:
    return f"{sent.topic}-{sent.partition}@{sent.offset}"
