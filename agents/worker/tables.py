"""Faust's tables, with rows of ours under them and a recovery of ours for them."""

from pathlib import Path
from typing import Any, NoReturn

from faust import tables
from faust.stores import base

from agents.runtime.state_store import StateStore
from agents.worker.recovery import Recovery


class StateStoreAdapter(base.Store):
    """Lets a Faust table own a `Store`; agents read and write the store itself."""

    rows: StateStore

    async def on_start(self) -> None:
        """Open the rows."""
        conf = self.app.conf
        self.rows = StateStore(Path(conf.state_dir) / self.table.name, conf.cluster_id)

    async def on_stop(self) -> None:
        """Close them."""
        self.rows.close()

    def _unsupported(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse what only faust's own recovery and backups would call."""
        raise TypeError("rows are recovered by agents.worker.recovery")

    apply_changelog_batch = reset_state = _unsupported
    backup_partition = restore_backup = _unsupported


class TableManager(tables.TableManager):
    """All tables of a worker."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """What makes them complete."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start without the second that faust waits first, for tables that come late.

        All of ours are declared before the app starts.
        """
        await self._update_channels()
        await self.recovery.start()
