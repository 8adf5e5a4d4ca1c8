"""The import of a stock file: many requests in flight, each until its reply."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from aiokafka.errors import KafkaError

from agents.ops.requests import RefusedReply, refusal
from agents.ops.stock_file import StockFile, StockLine
from agents.runtime.producer import ProducerRecord
from topics.catalog import STOCK_REQUESTS
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.request_reply import RequestReplyClient

MAX_IN_FLIGHT = 256


class StockImport:
    """Sends the lines of a stock file.

    Args:
        file: the lines to load.
        timeout: for the reply to each line.
        advance: is called with 1 for each line with an outcome.

    Attributes:
        loaded: the number of confirmed lines.
        refused: refusals by line number.
        unanswered: numbers of lines without a reply.
        abort_reason: why no more lines are sent; empty while they are.
        has_begun: whether a line may have been sent.
        is_broken_off: whether the import ended with lines in flight.
    """

    def __init__(
        self, file: StockFile, timeout: timedelta, advance: Callable[[int], None]
    ) -> None:
        self._file = file
        self._left = iter(file.lines)
        self._timeout_seconds = timeout.total_seconds()
        self.advance = advance
        self._last_reply = 0.0
        self.loaded = 0
        self.refused: dict[int, RefusedReply] = {}
        self.unanswered: list[int] = []
        self.abort_reason = ""
        self.has_begun = False
        self.is_broken_off = False

    @property
    def remaining(self) -> int:
        """The number of lines without an outcome: not sent, or in flight at the end."""
        known = self.loaded + len(self.refused) + len(self.unanswered)
        return len(self._file.lines) - known

    @property
    def is_complete(self) -> bool:
        """Whether all lines are confirmed."""
        return self.loaded == len(self._file.lines)

    async def run(self, client: RequestReplyClient) -> None:
        """Send all lines, until replies stop."""
        self.has_begun = True
        async with asyncio.TaskGroup() as group:
            for _ in range(min(MAX_IN_FLIGHT, len(self._file.lines))):
                group.create_task(self._send_lines(client))

    def break_off(self, reason: str) -> None:
        """Record why the import ended with lines in flight."""
        self.abort_reason, self.is_broken_off = reason, True

    async def _send_lines(self, client: RequestReplyClient) -> None:
        for line in self._left:
            began = monotonic()
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await self._load(client, line)
            except (KafkaError, TimeoutError) as error:
                self.unanswered.append(line.number)
                if self._last_reply < began:
                    timeout = f"no answer in {self._timeout_seconds:g} s"
                    self.abort_reason = str(error) or timeout
            self.advance(1)
            if self.abort_reason:
                return

    async def _load(self, client: RequestReplyClient, line: StockLine) -> None:
        async with client.request(self._record(line)) as (_, pending):
            refused = refusal(await pending.reply)
        self._last_reply = monotonic()
        if refused is None:
            self.loaded += 1
        else:
            self.refused[line.number] = refused

    def _record(self, line: StockLine) -> ProducerRecord:
        key = STOCK_REQUESTS.key_of(line.request)
        headers = [(IDEMPOTENCY_KEY, self._file.key(line))]
        return ProducerRecord(STOCK_REQUESTS.name, key, line.request.to_json(), headers)
