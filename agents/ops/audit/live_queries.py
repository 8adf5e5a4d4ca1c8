"""Asking the running shop, many questions at once."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from agents.ops.audit.copies import Snapshots
from agents.ops.audit.options import Options
from agents.ops.audit.queries import Query, QueryCheck, sample
from agents.ops.audit.report import Report
from topics.catalog import CART_REPLIES, CART_REQUESTS, DEFAULT_REPLIES, PRODUCT_REQUESTS
from topics.kafka import headers as names
from topics.kafka.reader import OffsetRanges, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.topology import AGGREGATES, GROUPS

_AT_ONCE = 64
_POLL_MS = 100


class LiveQueries:
    """Questions about what the tables say, to whoever serves.

    Args:
        logs: the shop's topics.
        cluster: how to reach the brokers.
        options: how many to ask, and how long to wait.
        report: is told what was not answered.
    """

    def __init__(
        self, logs: TopicReader, cluster: KafkaSettings, options: Options, report: Report
    ) -> None:
        self._logs = logs
        self._cluster = cluster
        self._options = options
        self._report = report
        self._asked: list[Query] = []

    @property
    def answered(self) -> Iterator[Query]:
        """What was answered, rightly or not."""
        return (question for question in self._asked if question.answers)

    async def hold(self, copies: Snapshots, begins: OffsetRanges) -> None:
        """Ask about owners whose logs are whole, where there is somebody to answer."""
        for topic, aggregate in AGGREGATES.items():
            if idle := await self._idle(topic):
                self._report.notes.append(f"{idle} does not run: {topic.name} not asked")
                continue
            keys = (
                key.decode(errors="replace")
                for (changelog, number), copy in copies.items()
                if changelog is aggregate.changelog and not begins[topic.name, number].begin
                for key in copy.rows
            )
            seed, most = self._options.seed, self._options.questions
            self._asked += sample(topic, keys, most, seed)
        await _QueryClient(self._cluster, self._options.patience).ask(self._asked)

    async def judge(self, answers: QueryCheck) -> None:
        """Say what was answered wrongly, and what was not."""
        differences = self._report.differences
        for question, expected in answers.wrong().items():
            told = " and ".join(answer.to_json().decode() for answer in question.answers)
            differences.append(f"{question}: answered {told}, but the log says {expected}")
        self._report.counts["questions"] = len(self._asked)
        self._report.counts["unpriced"] = answers.unpriced
        silent = [question for question in self._asked if not question.answers]
        if silent:
            await self._judge_silence(silent)

    async def _judge_silence(self, silent: list[Query]) -> None:
        committed = await self._logs.committed(GROUPS)
        idle = {topic: await self._idle(topic) for topic in AGGREGATES}
        for question in silent:
            if question.at is None:
                continue
            tp, offset = question.at
            text = f"{question}: not answered within {self._options.patience}"
            if committed.get(tp, 0) > offset:
                self._report.differences.append(f"{text}, and committed")
            elif idle[question.topic]:
                self._report.notes.append(f"{text}: {idle[question.topic]} does not run")
            else:
                self._report.differences.append(text)

    async def _idle(self, topic: Topic) -> str:
        """Name a group that has to answer, and has no members."""
        groups = [GROUPS[topic]]
        if topic is CART_REQUESTS:
            groups.append(GROUPS[PRODUCT_REQUESTS])
        for group in groups:
            if not await self._logs.has_members(group):
                return group
        return ""


class _QueryClient:
    """Sends questions and collects what is answered.

    Args:
        cluster: how to reach the brokers.
        patience: how long to wait for each answer.
    """

    def __init__(self, cluster: KafkaSettings, patience: timedelta) -> None:
        options = cluster.client_options()
        self._patience = patience
        self._producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(**options, fetch_max_wait_ms=_POLL_MS)
        self._waiting: dict[bytes, Query] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, questions: list[Query]) -> None:
        """Ask all; those that nobody answers in time stay without an answer."""
        try:
            await self._producer.start()
            await self._consumer.start()
            await self._listen()
            listening = asyncio.create_task(self._hear())
            await asyncio.gather(*map(self._ask, questions))
            listening.cancel()
        finally:
            await self._consumer.stop()
            await self._producer.stop()

    async def _listen(self) -> None:
        tps = [
            TopicPartition(topic.name, partition)
            for topic in set(DEFAULT_REPLIES.values())
            for partition in await self._producer.partitions_for(topic.name)
        ]
        self._consumer.assign(tps)
        ends = await self._consumer.end_offsets(tps)
        for tp, end in ends.items():
            self._consumer.seek(tp, end)

    async def _ask(self, question: Query) -> None:
        self._waiting[question.correlation_id] = question
        async with self._room:
            sent = await self._producer.send_and_wait(
                question.topic.name,
                question.request.to_json(),
                key=question.topic.key_of(question.request),
                headers=[(names.CORRELATION_ID, question.correlation_id)],
            )
            question.at = TopicPartition(sent.topic, sent.partition), sent.offset
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.total_seconds()):
                    await question.answered.wait()

    async def _hear(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for records in fetched.values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        given = dict(record.headers)
        question = self._waiting.get(given.get(names.CORRELATION_ID, b""))
        if question is not None:
            with suppress(ValidationError):
                question.answers.append(CART_REPLIES.decode(record.value or b""))
            question.answered.set()
