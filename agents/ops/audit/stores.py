"""The workers' local stores, looked at while their workers are down.

Nothing is opened where it lies: a look would change it. A copy is trusted exactly as far
as a worker that starts would trust the store itself.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.ops.audit.replay import AnyAggregate
from agents.ops.audit.snapshots import SnapshotRow, TableSnapshot
from agents.runtime.state_store import Row, StateStore
from topics.topology import SOURCES


def read_local_stores(
    directory: Path, cluster: str, notes: list[str]
) -> Iterator[tuple[AnyAggregate, TableSnapshot]]:
    """Yield what the stores hold that lie below a directory, one below it for each worker.

    Args:
        directory: of all workers.
        cluster: the id of the Kafka cluster that they should belong to.
        notes: is told what could not be looked at.
    """
    for state_dir in sorted(path for path in directory.iterdir() if path.is_dir()):
        with locked(state_dir) as free:
            if not free:
                notes.append(f"{state_dir} is in use: not looked at")
                continue
            for store, aggregate in _tables(state_dir):
                found = copies(store, cluster)
                if not found:
                    notes.append(f"{store} is not complete: a worker would rebuild it")
                yield from ((aggregate, copy) for copy in found)


def _tables(state_dir: Path) -> Iterator[tuple[Path, AnyAggregate]]:
    for changelog, aggregate in SOURCES.items():
        _, _, table = changelog.name.removesuffix("-changelog").partition("-")
        if (state_dir / table).is_dir():
            yield state_dir / table, aggregate


@contextmanager
def locked(state_dir: Path) -> Iterator[bool]:
    """Keep a worker's directory from being used; False: somebody uses it now."""
    lock = state_dir / "lock"
    if not lock.exists():
        yield True
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def copies(store: Path, cluster: str) -> list[TableSnapshot]:
    """Read a table's store; nothing if a worker would not trust it."""
    with TemporaryDirectory() as directory:
        twin = Path(directory) / store.name
        shutil.copytree(store, twin)
        opened = StateStore(twin, cluster)
        found = [
            _copy(opened, store, partition, progress.source_offset)
            for partition, progress in opened.offsets.items()
        ]
        opened.close()
    return found


def _copy(opened: StateStore, store: Path, partition: int, version: int) -> TableSnapshot:
    copy = TableSnapshot(str(store), partition, version)
    for key, value in opened.rows(partition):
        at = f"{store}, partition {partition}"
        copy.rows[key] = SnapshotRow(Row(key, value, version), at)
    return copy
