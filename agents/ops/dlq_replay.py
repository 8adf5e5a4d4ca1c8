"""Replays of dead letters: the original record, its second delivery, and the outcome."""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.notifications.pending import PENDING
from agents.ops import requests
from agents.runtime.collector import TRUNCATED
from agents.runtime.deserializer import ORIGIN
from agents.runtime.producer import ProducerRecord
from schemas.cart import OrderSettled
from schemas.contract import Code, Contract
from schemas.order import DeleteOrder, ExpireOrder, OrderStatusChanged, StockReserved
from schemas.stock import Release, Reserve, Sell
from topics.catalog import DEAD_LETTERS, ORDER_EVENTS, SENT_CHANGELOG
from topics.cli import CommandError
from topics.kafka import headers as names
from topics.kafka.location import RecordLocation, identity
from topics.kafka.reader import TopicReader
from topics.kafka.request_reply import PendingReply, RequestReplyClient
from topics.topic import EVENT_RETENTION, Topic
from topics.topology import GROUPS

SOURCES: dict[str, Topic] = {dead.name: source for source, dead in DEAD_LETTERS.items()}
"""The topic of origin, by the name of the dead letter topic."""

WITHOUT_REPLY = (
    *(DeleteOrder, ExpireOrder, OrderSettled, OrderStatusChanged, StockReserved),
    *(Release, Reserve, Sell),
)
"""Requests that have no reply, or one for another service."""

_PREFIX = "dlq."
_REPLY_HEADERS = (names.CORRELATION_ID, names.REPLY_TOPIC, names.REPLY_PARTITION)


def dlq_headers(dead: ConsumerRecord) -> dict[str, str]:
    """Return the headers about the failure: reason, topic, partition, offset."""
    return {
        name.removeprefix(_PREFIX): (value or b"").decode(errors="backslashreplace")
        for name, value in dead.headers
        if name.startswith(_PREFIX)
    }


def original_record(dead: ConsumerRecord) -> ProducerRecord:
    """Return the original record of a dead letter, without its reply headers.

    Without an idempotency key the header `origin` identifies the request.

    Raises:
        CommandError: the dead letter is truncated, or has no valid source.
    """
    source, location = SOURCES[dead.topic], RecordLocation.of(dead)
    about = dlq_headers(dead)
    try:
        at = RecordLocation(source.name, int(about["partition"]), int(about["offset"]))
        origin = identity(at, int(about.get("generation", 0)))
    except (KeyError, ValueError):
        origin = ""
    if about.get("topic") != source.name or not ORIGIN.fullmatch(origin.encode()):
        raise CommandError(f"{location} has no valid source in its headers")
    if about.get("reason", "").endswith(TRUNCATED):
        raise CommandError(f"{location} is truncated; {origin} may still be complete")
    headers = [
        (name, value)
        for name, value in dead.headers
        if not name.startswith(_PREFIX) and name not in _REPLY_HEADERS
    ]
    values = dict(headers)
    has_origin = ORIGIN.fullmatch(values.get(names.ORIGIN) or b"")
    if not has_origin and values.get(names.IDEMPOTENCY_KEY) is None:
        headers.append((names.ORIGIN, origin.encode()))
    return ProducerRecord(source.name, dead.key, dead.value, headers)


def parse_request(source: Topic, value: bytes | None) -> Contract | None:
    """Return the request in a value; None for an invalid one."""
    try:
        return source.decode(value or b"")
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class DeadLetterReplay:
    """Sends dead letters again, and waits for each outcome until a timeout."""

    client: RequestReplyClient
    reader: TopicReader
    timeout: timedelta

    async def send(self, dead: ConsumerRecord) -> str:
        """Send a dead letter, unless that is useless; return the outcome.

        Raises:
            CommandError: the outcome, if the request is not done.
        """
        source = SOURCES[dead.topic]
        request = parse_request(source, dead.value)
        try:
            record = original_record(dead)
            if isinstance(request, OrderStatusChanged):
                await self._require_unsent(request)
        except CommandError as reason:
            raise CommandError(f"refused: not replayed: {reason}") from None
        try:
            silent = isinstance(request, WITHOUT_REPLY)
            return await self._send(record, source, silent=silent)
        except KafkaError as error:
            text = f"unanswered: Kafka has not confirmed the record: {error}"
            raise CommandError(text) from error

    async def _send(self, record: ProducerRecord, source: Topic, *, silent: bool) -> str:
        group, seconds = GROUPS[source], self.timeout.total_seconds()
        async with self.client.request(record) as (sent, pending):
            location = RecordLocation.of(sent)
            try:
                async with asyncio.timeout(seconds):
                    if silent:
                        # A dead letter or a reply would arrive before the commit.
                        await requests.wait_until_committed(self.reader, source, sent)
                        await self.client.drain()
                    else:
                        await _reply(pending)
            except TimeoutError:
                done = await requests.is_committed(self.reader, source, sent)
                text = f"{group} {'committed' if done else 'has not committed'} {location}"
                if (result := _result(pending)) is None:
                    text = f"unanswered: {text}; no outcome within {seconds:g} s"
                    raise CommandError(text) from None
                return result
            text = f"done: {group} committed {location}, which needs no reply"
            return _result(pending) or text

    async def _require_unsent(self, event: OrderStatusChanged) -> None:
        """Raise a CommandError unless the notification of an event has no outcome yet.

        So a dead letter of one transport is not sent again by another one. The outcome of
        an old event may be deleted; its notification is not sent.
        """
        name, key = event.event_id, ORDER_EVENTS.key_of(event)
        if event.at.astimezone(UTC) < datetime.now(UTC) - EVENT_RETENTION:
            days = EVENT_RETENTION.days
            raise CommandError(f"notification {name} is older than {days} days")
        for row in await requests.newest_rows(
            self.reader, SENT_CHANGELOG, key, lambda row: row.key == name.encode()
        ):
            if row.value is not None:
                outcome = json.loads(row.value)["outcome"]
                state = "is" if outcome == PENDING else "was settled:"
                raise CommandError(f"notification {name} {state} {outcome}")


async def _reply(pending: PendingReply) -> None:
    """Wait for a reply or a dead letter; for both if the reply refuses a bad record."""
    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    if pending.reply.done():
        refused = requests.refusal(pending.reply.result())
        if refused and refused.code == Code.BAD_REQUEST:
            await asyncio.wait([pending.dead])


def _result(pending: PendingReply) -> str | None:
    """Return the reply, if any; raise a CommandError for a dead letter or a refusal."""
    if pending.dead.done():
        dead = pending.dead.result()
        reason = dlq_headers(dead).get("reason")
        raise CommandError(f"dead again: {RecordLocation.of(dead)}: {reason}")
    if not pending.reply.done():
        return None
    if refused := requests.refusal(pending.reply.result()):
        raise CommandError(f"refused: {refused}")
    return f"done: {pending.reply.result().decode()}"
