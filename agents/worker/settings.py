"""What a worker is told by its environment."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from topics.cluster import Cluster


class WorkerSettings(Cluster):
    """Settings of a worker of any service.

    Attributes:
        worker: its name; the same name again is the same member of its group, which
            keeps its partitions over a restart.
        state_dir: a directory of its own for local rows.
        session_timeout_seconds: how long a silent worker keeps its partitions. The
            broker's `group.min.session.timeout.ms` bounds it from below.
        payment_timeout_seconds: how long an order may await payment.
    """

    worker: str | None = None
    state_dir: Path = Path(".run/state")
    session_timeout_seconds: float = Field(default=6.0, gt=0)
    payment_timeout_seconds: int = Field(default=600, ge=0)

    @property
    def session_timeout(self) -> timedelta:
        """The same, as a time."""
        return timedelta(seconds=self.session_timeout_seconds)
