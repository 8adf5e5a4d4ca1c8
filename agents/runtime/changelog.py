"""Writing a table's rows to its changelog: each time as one record batch."""

from collections.abc import Mapping

from aiokafka.structs import TopicPartition

from agents.store import Store
from agents.worker.failstop import die
from agents.worker.press import Acked, Press
from agents.worker.recovery import VERSION_HEADER
from topics.topic import Topic


class Changelog:
    """The only writer of a table's partitions that this worker has.

    Args:
        press: what sends it.
        topic: the changelog.
        store: the table's rows.
    """

    def __init__(self, press: Press, topic: Topic, store: Store) -> None:
        self._press = press
        self._topic = topic
        self._store = store

    async def open(self) -> None:
        """Get ready to write, and put the true rows behind a frozen worker's last (T8)."""
        await self._press.partitions(self._topic.name)
        for partition, progress in self._store.progress.items():
            for row in progress.overtaken.values():
                self._store.unacknowledged += 1
                self.append(partition, {row.key: row.value}, row.version)
            progress.overtaken.clear()

    def append(
        self, partition: int, rows: Mapping[bytes, bytes | None], version: int
    ) -> Acked:
        """Write rows that were put into the store, all of them or none.

        The store goes first: its files may be ahead of the changelog, since they are not
        trusted after a crash. The other way round they could lack what others have seen.
        """
        progress = self._store.progress[partition]
        expected = progress.next_offset
        progress.next_offset += len(rows)
        tp = TopicPartition(self._topic.name, partition)
        headers = [(VERSION_HEADER, str(version).encode())]
        sent = self._press.send_together(tp, rows.items(), headers)
        sent.add_done_callback(lambda done: self._check(done, expected))
        return sent

    def _check(self, sent: Acked, expected: int) -> None:
        """Die if somebody else writes here too: one of us has been replaced."""
        self._store.unacknowledged -= 1
        at = sent.result()
        if at.offset != expected:
            die("%s-%d: another writer, offset %d", at.topic, at.partition, at.offset)
