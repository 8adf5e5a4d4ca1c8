"""Old topics are replaced, whatever a broker that has just started sees of them."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.ops.repartition.plan import Plan, Step, TopicPlan
from agents.ops.repartition.swap import Swap
from topics.catalog import STOCK_REPLIES

OLD, NEW = 3, 5


@dataclass
class Cluster:
    """A cluster with one topic, and a store of plans.

    Attributes:
        partitions_there: of the topic; 0: there is none.
        unseen: how often a broker answers that there is no topic.
    """

    partitions_there: int
    unseen: int = 0
    created: list[int] = field(default_factory=list)

    async def partitions(self) -> dict[str, int]:
        self.unseen -= 1
        is_seen = self.unseen < 0 and self.partitions_there
        return {STOCK_REPLIES.name: self.partitions_there} if is_seen else {}

    async def delete(self, _name: str) -> None:
        self.partitions_there = 0

    async def create_and_wait(self, _name: str, partitions: int, *_: Any) -> None:
        if not self.partitions_there:
            self.partitions_there = partitions
            self.created.append(partitions)

    async def save(self, _plan: Plan) -> None:
        pass


@pytest.mark.parametrize(
    ("there", "unseen", "created"), [(OLD, 0, [NEW]), (OLD, 1, [NEW]), (NEW, 0, [])]
)
async def test_an_old_topic_is_deleted_also_if_a_broker_does_not_see_it(
    there: int, unseen: int, created: list[int]
):
    cluster, planned = Cluster(there, unseen), TopicPlan(OLD, 1, {})
    plan = Plan(NEW, 1, {STOCK_REPLIES.name: planned})
    swap: Any = Swap(None, cluster, None, plan, cluster)  # type: ignore[arg-type]
    await swap.replace(STOCK_REPLIES, lambda _: None)
    assert (cluster.partitions_there, cluster.created) == (NEW, created)
    assert planned.step is Step.DONE
