"""A delivery on its way into stock: so many lines at once, each until it is answered."""

import asyncio
from datetime import timedelta
from time import monotonic

from aiokafka.errors import KafkaError

from agents.ops.bar import Bar
from agents.ops.replies import RefusedReply, refusal
from agents.ops.stock_file import StockFile, StockLine
from agents.runtime.producer import ProducerRecord
from topics.catalog import STOCK_REQUESTS
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.request_reply import RequestReplyClient

AT_ONCE = 256


class StockImport:
    """Sends the lines of a delivery.

    Args:
        delivery: what is loaded.
        patience: how long the reply to a line is waited for.
        bar: shows how far it has come.

    Attributes:
        loaded: how many lines stock has confirmed.
        refused: those that it has not, by number, and why.
        unanswered: numbers of the lines of which nothing is known.
        trouble: why no more lines are sent; empty where they are.
        has_begun: whether lines are sent, or were.
        is_broken_off: whether it ended while lines were under way.
    """

    def __init__(self, delivery: StockFile, patience: timedelta, bar: Bar) -> None:
        self._delivery = delivery
        self._left = iter(delivery.lines)
        self._patience = patience.total_seconds()
        self._bar = bar
        self._heard = 0.0
        self.loaded = 0
        self.refused: dict[int, RefusedReply] = {}
        self.unanswered: list[int] = []
        self.abort_reason = ""
        self.has_begun = False
        self.is_broken_off = False

    @property
    def remaining(self) -> int:
        """How many lines have not been sent, or were under way when it was interrupted."""
        known = self.loaded + len(self.refused) + len(self.unanswered)
        return len(self._delivery.lines) - known

    @property
    def is_complete(self) -> bool:
        """Whether each line is in stock now."""
        return self.loaded == len(self._delivery.lines)

    async def run(self, caller: RequestReplyClient) -> None:
        """Send all lines, unless nobody answers any more."""
        self.has_begun = True
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(self._delivery.lines))):
                group.create_task(self._work(caller))

    def break_off(self, reason: str) -> None:
        """Note why it ended while lines were under way."""
        self.abort_reason, self.is_broken_off = reason, True

    async def _work(self, caller: RequestReplyClient) -> None:
        for line in self._left:
            began = monotonic()
            try:
                async with asyncio.timeout(self._patience):
                    await self._load(caller, line)
            except (KafkaError, TimeoutError) as error:
                self.unanswered.append(line.number)
                if self._heard < began:
                    self.abort_reason = str(error) or f"no answer in {self._patience:g} s"
            self._bar.show(len(self._delivery.lines) - self.remaining)
            if self.abort_reason:
                return

    async def _load(self, caller: RequestReplyClient, line: StockLine) -> None:
        async with caller.request(self._letter(line)) as (_, call):
            no = refusal(await call.reply)
        self._heard = monotonic()
        if no is None:
            self.loaded += 1
        else:
            self.refused[line.number] = no

    def _letter(self, line: StockLine) -> ProducerRecord:
        key = STOCK_REQUESTS.key_of(line.request)
        headers = [(IDEMPOTENCY_KEY, self._delivery.key(line))]
        return ProducerRecord(STOCK_REQUESTS.name, key, line.request.to_json(), headers)
