"""Settings of a worker, from the environment."""

import fcntl
from pathlib import Path
from typing import TextIO

from pydantic import Field

from topics.kafka.settings import KafkaSettings


class WorkerSettings(KafkaSettings):
    """Settings of a worker of any service.

    Attributes:
        worker: its name, and its static membership of the group: a worker of the same
            name keeps the partitions over a restart.
        state_dir: the directory of its local rows; no other worker uses it.
        standby_replicas: how many other workers follow each partition's changelogs.
        session_timeout_seconds: how long a silent worker keeps its partitions. The
            broker's `group.min.session.timeout.ms` bounds it from below.
        metrics_port: of its metrics for Prometheus; 0: it has none.
    """

    worker: str | None = None
    state_dir: Path = Path(".run/state")
    standby_replicas: int = Field(default=0, ge=0)
    session_timeout_seconds: float = Field(default=6.0, gt=0)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, lt=2**16)

    def lock_state_dir(self) -> TextIO:
        """Lock the state directory until the process ends; create it if it is absent.

        Raises:
            BlockingIOError: another worker holds it.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.state_dir / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
