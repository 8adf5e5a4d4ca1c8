"""The disk of a shop under load, with checkpoints and the deletion of older requests."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.ops.local.processes import Process
from tests.e2e.audit import audit_logs
from tests.e2e.shop import Shop
from topics.catalog import TOPICS
from topics.kafka.topic_admin import TopicAdmin
from topics.topic import TopicKind

INTERVAL_SECONDS = 10.0
_BLOCK_BYTES = 512
_BRIEF_BROKER = ("log.retention.check.interval.ms=5000", "log.cleaner.backoff.ms=2000")
_BRIEF_SEGMENTS = {"segment.ms": "10000", "file.delete.delay.ms": "1000"}
_BRIEF: dict[TopicKind, dict[str, str]] = {
    TopicKind.REQUESTS: _BRIEF_SEGMENTS,
    TopicKind.REPLIES: {**_BRIEF_SEGMENTS, "retention.ms": "30000"},
    TopicKind.CHANGELOG: {
        **_BRIEF_SEGMENTS,
        # Longer than an audit takes to read a changelog: it would miss rows that are
        # written again, and whose earlier records are compacted, before it reads them.
        "min.compaction.lag.ms": "300000",
        "max.compaction.lag.ms": "310000",
    },
}
"""Settings with which minutes show what takes days otherwise."""


class BriefShop(Shop):
    """A shop whose broker deletes and compacts within minutes."""

    def adapted(self, process: Process) -> Process:
        """Return a process with the changes; the broker has further settings."""
        found = super().adapted(process)
        if process.name != "kafka":
            return found
        settings = (f"--set={setting}" for setting in _BRIEF_BROKER)
        return replace(found, command=(*found.command, *settings))

    async def prepare(self) -> None:
        """Create the topics, with short segments."""
        await super().prepare()
        configs = {
            topic.name: topic.config(self.cluster.request_retention) | _BRIEF[topic.kind]
            for topic in TOPICS
            if topic.kind in _BRIEF
        }
        async with TopicAdmin(self.cluster) as admin:
            await admin.configure(configs)


@dataclass
class Disk:
    """The curve of a shop's disk: MB by what lies there, every ten seconds."""

    shop: Shop
    curve: list[dict[str, float]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Measure until it is cancelled."""
        while True:
            self.curve.append({"s": round(time.monotonic() - self._began), **self.read()})
            await asyncio.sleep(INTERVAL_SECONDS)

    def read(self) -> dict[str, float]:
        """Return the MB of each kind of topic, and of the workers' stores."""
        found, directory = Counter[str](), self.shop.local.directory
        kinds = {topic.name: topic.kind.value for topic in TOPICS}
        for log in (directory / "kafka" / "data").iterdir():
            found[kinds.get(log.name.rpartition("-")[0], "other")] += _bytes(log)
        found["stores"] = _bytes(directory / "state")
        return {name: round(size / 2**20, 1) for name, size in sorted(found.items())}


def _bytes(path: Path) -> int:
    """Return the blocks of all files; index files are sparse, and may vanish meanwhile."""
    size = 0
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):
            size += file.stat().st_blocks * _BLOCK_BYTES
    return size


@dataclass
class Checkpoints:
    """Checkpoints of a shop, each from the previous one."""

    shop: Shop
    directory: Path
    written: int = 0

    async def advance(self) -> str:
        """Write the next checkpoint, and delete the requests before it; return a line."""
        directory = str(self.directory)
        start = ("--from", directory) if self.written else ()
        audited = await audit_logs(self.shop, *start, "--checkpoint", directory)
        deleted = await audit_logs(self.shop, "--forget-before", directory, "--yes")
        self.written += 1
        return (
            f"checkpoint {self.written}: {audited['records']} records in"
            f" {audited['seconds']} s, {deleted['records']} since in {deleted['seconds']} s"
        )
