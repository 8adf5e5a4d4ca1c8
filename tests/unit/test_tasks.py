"""A worker's part in the moves of partitions."""

from types import SimpleNamespace

from agents.worker import tasks
from agents.worker.assignment import MemberPlan


class _Consumer:
    """A consumer without records."""

    async def update_topics(self) -> None: ...


class _App:
    """The app of a worker that recovers nothing and begins nothing."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(partitions=2)
        self.pause_monitor = SimpleNamespace(arm=lambda: None)
        self.assignor = SimpleNamespace(plan=MemberPlan())
        self.consumer = _Consumer()


async def test_a_worker_that_stops_takes_over_no_partition(monkeypatch):
    """The group may rebalance while the worker stops: its stores are closed by then."""
    monkeypatch.setattr(tasks, "fail_stop", lambda *_: None)
    app = _App()
    manager = tasks.TaskManager(app, {})
    await manager.close()
    app.assignor.plan = MemberPlan(active={0})
    await manager.handle_assignment()
    assert manager.member().owned == set()
