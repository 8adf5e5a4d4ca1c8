"""Which notices were told: rows that are written for several notices at once."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from agents.runtime.changelog import Changelog
from agents.service import Service
from agents.worker.press import Press
from topics.catalog import SENT


@dataclass(eq=False)
class _Page:
    """Rows of one partition that are about to be written together."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    version: int = 0
    written: asyncio.Task[None] | None = None


class Ledger:
    """Remembers what was told.

    Notices that end at the same moment share a record batch: one for each would cost more
    than all else about a notice that is but a log line.

    Args:
        service: that has the table.
    """

    def __init__(self, service: Service) -> None:
        self._press: Press = service.app.press
        self._table = service.table(SENT)
        self._table.on_recover(self.open)
        self._pages: dict[int, _Page] = {}

    async def open(self) -> None:
        """Get ready to write, once the rows are recovered."""
        await self._sent.open()

    def has(self, partition: int, event_id: bytes) -> bool:
        """Say whether a notice was told."""
        return self._table.data.rows.get(partition, event_id) is not None

    async def note(self, partition: int, event_id: bytes, row: bytes, version: int) -> None:
        """Remember a notice; return when that has arrived."""
        page = self._pages.setdefault(partition, _Page())
        page.rows[event_id] = row
        page.version = max(page.version, version)
        if page.written is None:
            page.written = asyncio.create_task(self._write(partition))
        await asyncio.shield(page.written)

    async def _write(self, partition: int) -> None:
        page = self._pages.pop(partition)
        self._table.data.rows.put(partition, page.rows, page.version)
        await asyncio.wait([self._sent.append(partition, page.rows, page.version)])

    @cached_property
    def _sent(self) -> Changelog:
        return Changelog(self._press, SENT, self._table.data.rows)
