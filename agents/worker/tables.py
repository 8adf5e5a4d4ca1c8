"""Faust's tables, with their rows in a `StateStore`, and a recovery of our own.

Faust recovers through the group's consumer: it stops the flow, seeks, and resumes. Records
were skipped, and queued ones lost; it read 4,500 records a second. Here changelogs are
read by a consumer of their own, from the end of the local rows.
"""

import logging
import time
from typing import Any, NoReturn

from aiokafka.errors import KafkaError
from faust import tables
from faust.stores import base

from agents.runtime.changelog import changelog_ends
from agents.runtime.state_store import StateStore
from agents.worker.tasks import TaskManager

log = logging.getLogger(__name__)


class StateStoreAdapter(base.Store):
    """Lets a Faust table own a `StateStore`; agents read and write the store itself."""

    rows: StateStore

    async def on_start(self) -> None:
        """Open the store."""
        path = self.app.settings.state_dir / self.table.name
        generation = self.app.generation
        self.rows = StateStore(
            path, self.app.cluster_id, generation=generation, **self.options
        )

    async def on_stop(self) -> None:
        """Close the rows."""
        self.rows.close()

    def _unsupported(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("rows are recovered by agents.runtime.changelog")

    apply_changelog_batch = reset_state = _unsupported
    backup_partition = restore_backup = _unsupported


class TableManager(tables.TableManager):
    """All tables of a worker."""

    _recovery: TaskManager | None = None

    @property
    def recovery(self) -> TaskManager:
        """The recovery of the tables."""
        if self._recovery is None:
            self._recovery = TaskManager(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def flush_rows(self) -> None:
        """Flush local rows, and keep those young that have all of their changelog.

        Rows that became too old without an assignment are dropped.
        """
        for table in self.values():
            store: StateStore = table.data.rows
            for partition in set(store.partitions()) - store.offsets.keys():
                store.release(partition)
            topic, at = table.changelog_topic.get_topic_name(), time.time()
            try:
                ends = await changelog_ends(topic, store.active, self.app.settings)
            except KafkaError as error:
                log.warning("event=rows-not-confirmed topic=%s reason=%r", topic, error)
                ends = {}
            for partition, end in ends.items():
                store.confirm(partition, end, at)
            store.database.flush(wait=False)

    async def on_start(self) -> None:
        """Open the tables, before the consumer joins the group.

        Faust would wait a second for tables that are declared late, and assign changelogs.
        """
        for table in self.values():
            await table.maybe_start()
        await self.recovery.open()
        await self.recovery.start()
        self._tables_registered.set()
