"""Writing a table's rows: to disk at once, to the changelog as one record batch."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.structs import RecordMetadata

from agents.store import Store
from agents.worker.failstop import die
from agents.worker.recovery import VERSION_HEADER
from topics.topic import Topic


class Changelog:
    """The only writer of a table's partitions that this worker has.

    Args:
        app: the Faust app whose producer is used.
        topic: the changelog.
        store: the table's rows.
    """

    def __init__(self, app: Any, topic: Topic, store: Store) -> None:
        self._app = app
        self._topic = topic
        self._store = store

    async def write(
        self, partition: int, rows: Mapping[bytes, bytes], version: int
    ) -> asyncio.Future[RecordMetadata]:
        """Write what a run of records came to.

        The local rows go first: they may be ahead of the changelog, since they are not
        trusted after a crash. The other way round, they could lack what others can see.
        """
        self._store.put(partition, rows, version)
        return await self._append(partition, rows, version)

    async def repair(self) -> None:
        """Put the true rows behind what a frozen worker wrote last (T8)."""
        for partition, progress in list(self._store.progress.items()):
            for row in progress.overtaken.values():
                await self._append(partition, {row.key: row.value}, row.version)
            progress.overtaken.clear()

    async def _append(
        self, partition: int, rows: Mapping[bytes, bytes | None], version: int
    ) -> asyncio.Future[RecordMetadata]:
        producer = self._app.producer._producer
        headers = [(VERSION_HEADER, str(version).encode())]
        batch = producer.create_batch()
        for key, value in rows.items():
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                die(
                    "%d rows don't fit into one record batch of %s",
                    len(rows),
                    self._topic.name,
                )
        batch.close()
        progress = self._store.progress[partition]
        expected, progress.next_offset = (
            progress.next_offset,
            progress.next_offset + len(rows),
        )
        self._store.unacknowledged += 1
        sent: asyncio.Future[RecordMetadata] = await producer.send_batch(
            batch, self._topic.name, partition=partition
        )
        sent.add_done_callback(lambda done: self._check(done, expected))
        return sent

    def _check(self, sent: "asyncio.Future[RecordMetadata]", expected: int) -> None:
        """Die if the write failed, or if somebody else writes here too."""
        if sent.cancelled() or sent.exception() is not None:
            die("a changelog write failed: %r", sent)
        self._store.unacknowledged -= 1
        written = sent.result()
        if written.offset != expected:
            die(
                "%s has another writer: offset %d, not %d",
                written.topic_partition,
                written.offset,
                expected,
            )
