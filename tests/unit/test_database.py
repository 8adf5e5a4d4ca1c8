"""RocksDB's own logs, which grow for ever by default, stay small."""

from pathlib import Path

import pytest

from agents.runtime import database
from agents.runtime.database import Database


def test_logs_of_rocksdb_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "_LOG_BYTES", 16 << 10)
    monkeypatch.setattr(database, "_LOGS", 2)
    sizes = []
    for number in range(4):
        rows = Database(tmp_path / "table", b"format")
        for each in range(20):
            rows.write([(b"%d-%d" % (number, each), b"value")])
            rows.flush(wait=True)
        rows.close()
        logs = [*tmp_path.rglob("LOG*")]
        assert len(logs) <= 2
        sizes.append(sum(log.stat().st_size for log in logs))
    assert max(sizes) < 1.7 * sizes[0]
