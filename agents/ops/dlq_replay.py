"""Dead letters sent once more, and what becomes of them."""

import asyncio
import json
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, RecordMetadata

from agents.notifications.pending import PENDING
from agents.ops.again import expects_no_reply, original_record, request
from agents.ops.cli import CommandError
from agents.ops.commits import READERS, is_committed, wait_until_committed
from agents.ops.dead_letters import SOURCES, dlq_headers
from agents.ops.replies import refusal
from agents.runtime.producer import ProducerRecord
from schemas.contract import Code
from schemas.order import OrderStatusChanged
from topics.catalog import ORDER_EVENTS, SENT_CHANGELOG
from topics.kafka.location import RecordLocation
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import PendingReply, RequestReplyClient
from topics.topic import Topic


class ReplayStatus(StrEnum):
    """What became of a replay."""

    DONE = "done"
    REFUSED = "refused"
    DEAD = "dead again"
    UNKNOWN = "unanswered"


class ReplayResult(NamedTuple):
    """A fate, and what more is known of it."""

    status: ReplayStatus
    text: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.status}: {self.text}"


class DeadLetterReplay:
    """Sends dead letters once more.

    Args:
        caller: sends them, and hears of them.
        logs: tells whether somebody has read them.
        patience: how long an outcome is waited for.
    """

    def __init__(
        self, caller: RequestReplyClient, logs: TopicReader, patience: timedelta
    ) -> None:
        self._caller = caller
        self._logs = logs
        self._patience = patience.total_seconds()

    async def send(self, dead: ConsumerRecord) -> ReplayResult:
        """Send one, unless nothing could come of it; return what became of it."""
        source = SOURCES[dead.topic]
        asked = request(source, dead.value)
        try:
            again = original_record(dead)
            if isinstance(asked, OrderStatusChanged):
                await self._check_notice(asked)
        except CommandError as reason:
            return ReplayResult(ReplayStatus.REFUSED, f"not replayed: {reason}")
        try:
            return await self._send(again, source, silent=expects_no_reply(asked))
        except KafkaError as error:
            return ReplayResult(
                ReplayStatus.UNKNOWN, f"Kafka has not confirmed it: {error}"
            )

    async def _send(
        self, again: ProducerRecord, source: Topic, *, silent: bool
    ) -> ReplayResult:
        async with self._caller.request(again) as (sent, call):
            reader, place = READERS[source], RecordLocation.of(sent)
            try:
                async with asyncio.timeout(self._patience):
                    await (self._read(source, sent) if silent else _answered(call))
            except TimeoutError:
                took = (
                    "took"
                    if await is_committed(self._logs, source, sent)
                    else "has not taken"
                )
                text = f"{reader} {took} {place}; nothing more within {self._patience:g} s"
                return _result(call) or ReplayResult(ReplayStatus.UNKNOWN, text)
            said = f"{reader} took {place}, to which nobody need reply"
            return _result(call) or ReplayResult(ReplayStatus.DONE, said)

    async def _read(self, source: Topic, sent: RecordMetadata) -> None:
        """Wait until its reader is done with a record, and all has been heard of it.

        Before that is committed, a dead letter and a reply of that reader's have arrived.
        """
        await wait_until_committed(self._logs, source, sent)
        await self._caller.drain()

    async def _check_notice(self, event: OrderStatusChanged) -> None:
        """See that nothing has become of a notice: what has, is not told again.

        So a dead letter of one transport is not sent again by another one either.

        Raises:
            CannotError: it was sent, given up for good, or is still pending.
        """
        row, event_id = None, event.event_id.encode()
        async for record in self._logs.read_partition_of(
            SENT_CHANGELOG, ORDER_EVENTS.key_of(event)
        ):
            row = record.value if record.key == event_id else row
        if row is not None:
            outcome = json.loads(row)["outcome"]
            state = "is" if outcome == PENDING else "was settled:"
            raise CommandError(f"its notice, {event.event_id}, {state} {outcome}")


async def _answered(call: PendingReply) -> None:
    """Wait for a reply or a dead letter, for both if the reply is that of poison."""
    await asyncio.wait(call, return_when=asyncio.FIRST_COMPLETED)
    if call.reply.done():
        no = refusal(call.reply.result())
        if no is not None and no.code == Code.BAD_REQUEST:
            await asyncio.wait([call.dead])


def _result(call: PendingReply) -> ReplayResult | None:
    if call.dead.done():
        letter = call.dead.result()
        text = f"{RecordLocation.of(letter)}: {dlq_headers(letter).get('reason')}"
        return ReplayResult(ReplayStatus.DEAD, text)
    if call.reply.done():
        no = refusal(call.reply.result())
        if no is not None:
            return ReplayResult(ReplayStatus.REFUSED, str(no))
        return ReplayResult(ReplayStatus.DONE, call.reply.result().decode())
    return None
