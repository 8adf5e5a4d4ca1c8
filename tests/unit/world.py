"""The shop in one process: the aggregates over dicts, and a list for each partition's log.

The guarantees of the runtime are modelled, and nothing beyond them:

- a partition's records take their turns in log order, in runs of a few; the rows that a
  run wrote are written all at once, with the offset up to which they go (the version);
- a run's commands are sent first, in any order among themselves, then its rows are written,
  then its replies and events are sent; how an order ended counts as a reply to its cart;
- a partition may crash at any moment of a run, with some of its messages sent. It goes on
  from its last commit, which may be many runs ago. What was written since then may be lost
  from some run on, although its messages were sent; a record below the version that is left
  was folded in before, and is marked so (`seen`);
- any message may arrive twice, the second time much later;
- where days pass, expired rows are deleted between any two runs.

One thing is worse than in production: a message may be overtaken by later ones, even on its
way from one partition to another. Nothing but R9 leans on that order (`delays=0` keeps it).

Which partition comes next, and all the rest, is drawn from a seed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from agents.aggregate import Cause, OutgoingMessage, WithHeaders
from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import ORDER_AGGREGATE, STOCK_AGGREGATE
from schemas.contract import Contract
from schemas.order import DeleteOrder, OrderStatusChanged
from topics.catalog import ORDER_REQUESTS, TOPIC_OF

from .given import NOON
from .partition import Partition, Record, Turn

SHOP = (CART_AGGREGATE, ORDER_AGGREGATE, STOCK_AGGREGATE)
PARTITIONS = 3
MOST_STEPS = 20_000
Outgoing = tuple[Cause, OutgoingMessage]

A_MILLISECOND = timedelta(milliseconds=1)

LEAPS = [timedelta(hours=hours) for hours in (1, 12, 22, 24, 25, 26, 49)]
SKEW = timedelta(minutes=50)


@dataclass(frozen=True)
class Attempt:
    """A request of a client."""

    request: Any
    key: str | None


class World:
    """Delivers messages until all is quiet.

    Args:
        seed: decides everything.
        crashes: how many times a partition crashes, at most.
        echoes: how likely a message is to arrive twice.
        delays: how likely it is to be overtaken.
        leaps: how many times hours or days pass at once, at most; then the clocks of
            brokers differ, too, but for orders.
    """

    def __init__(
        self,
        seed: int,
        crashes: int = 30,
        echoes: float = 0.08,
        delays: float = 0.12,
        leaps: int = 0,
    ) -> None:
        self.random = Random(seed)
        self.now = NOON
        self.attempts: dict[str, Attempt] = {}
        self.asked_at: dict[str | None, datetime] = {}
        self.replies: defaultdict[str, list[Contract]] = defaultdict(list)
        self.events: defaultdict[int, list[OrderStatusChanged]] = defaultdict(list)
        self.partitions = {
            aggregate.requests: [
                Partition(aggregate, f"{aggregate.requests.name}-{n}")
                for n in range(PARTITIONS)
            ]
            for aggregate in SHOP
        }
        self._crashes = crashes
        self._echoes = echoes
        self._delays = delays
        self.leaps = leaps
        self._skew = SKEW if leaps else timedelta()
        self._late: list[tuple[Partition, Record]] = []

    def ask(self, request: Contract, key: str | None = None) -> str:
        """Send a client's request; return the attempt's name.

        Some come from a partition that is not theirs: then they bring their name along.
        """
        partition = self._home(request)
        name = f"{partition.name}-{len(partition.log)}"
        stray = self.random.random() < 0.2
        if stray:
            name = f"stray-{name}"
        self._append(partition, Record(request.to_json(), name if stray else None, key))
        self.attempts[name] = Attempt(request, key)
        self.asked_at.setdefault(key, self.now)
        return name

    def remind(self, request: Contract) -> None:
        """Send a request without a caller, as a timer does."""
        self._append(self._home(request), Record(request.to_json()))

    def delete_orders(self, days: int) -> None:
        """Have orders of any age decide on their deletion, as the timer does old ones.

        All records that changed one are committed; others about it may come again.
        """
        for partition in self.partitions[ORDER_REQUESTS]:
            for name, row in partition.rows.items():
                if partition.kept.get(name) == row:
                    self.remind(DeleteOrder(order_id=int(name), retention_days=days))

    def halt_orders(self, days: timedelta) -> None:
        """Kill the workers of orders in the middle of their runs, and let days pass."""
        orders = self.partitions[ORDER_REQUESTS]
        for partition in orders:
            self._serve(partition, killed=True)
        others = [partition for partition in self.all() if partition not in orders]
        while busy := [p for p in others if p.position < len(p.log)] or self._late:
            if busy is self._late:
                self._append(*self._late.pop())
            else:
                self._serve(self.random.choice(busy))
        for partition in others:
            partition.commit()
        self.now += days

    def settle(self) -> None:
        """Deliver until all is quiet."""
        for _ in range(MOST_STEPS):
            if not self.step():
                return
        raise AssertionError("the shop never comes to rest")

    def step(self) -> bool:
        """Serve a run of some partition; False when all is quiet."""
        if self.leaps and self.random.random() < 0.03:
            self.leaps -= 1
            self.now += self.random.choice(LEAPS)
        busy = [p for p in self.all() if p.position < len(p.log)]
        if self._late and (not busy or self.random.random() < 0.1):
            self._append(*self._late.pop(self.random.randrange(len(self._late))))
            return True
        if busy:
            self._serve(self.random.choice(busy))
        return bool(busy)

    def all(self) -> list[Partition]:
        return [partition for topic in self.partitions.values() for partition in topic]

    def _serve(self, partition: Partition, *, killed: bool = False) -> None:
        if self._skew and self.random.random() < 0.5:
            partition.purge()
        end = min(partition.position + self.random.randint(1, 4), len(partition.log))
        rows = dict(partition.rows)
        turns = list(partition.fold(partition.position, end, rows))
        commands, rest = self._outgoing(turns)
        outgoing = [*commands, *rest]
        crashes = killed or (self._crashes > 0 and self.random.random() < 0.15)
        sent = self.random.randint(0, len(outgoing)) if crashes else len(outgoing)
        for cause, message in outgoing[:sent]:
            self._send(message, cause)
        if sent >= len(commands):
            partition.write(rows, end)
        partition.position = end
        if crashes:
            self._crashes -= 1
            newest = self.random.randint(0, len(partition.writes) - 1)
            partition.crash(lost=self.random.choice((0, newest)))
        elif self.random.random() < 0.15:
            partition.commit()

    def _outgoing(self, turns: Sequence[Turn]) -> tuple[list[Outgoing], list[Outgoing]]:
        """Commands in any order, but for those that have arrived; and the rest."""
        messages = [(turn.cause, message) for turn in turns for message in turn.messages]
        commands = [
            (turn.cause, message)
            for turn in turns
            for message in turn.messages
            if self._goes_first(message) and not turn.seen
        ]
        self.random.shuffle(commands)
        return commands, [m for m in messages if not self._goes_first(m[1])]

    def _goes_first(self, message: OutgoingMessage) -> bool:
        return self._is_command(message) and not _request(message).deferred

    def _is_command(self, message: OutgoingMessage) -> bool:
        return TOPIC_OF.get(type(_request(message))) in self.partitions

    def _send(self, message: OutgoingMessage, cause: Cause) -> None:
        headers = cause.headers
        if isinstance(message, WithHeaders):
            message, headers = message.message, {**headers, **message.headers}
        if self._is_command(message):
            key = cause.idempotency_key
            record = Record(message.to_json(), cause.origin, key, headers)
            self._post(self._home(message), record)
        elif isinstance(message, OrderStatusChanged):
            self.events[message.order_id].append(message)
        else:
            self.replies[cause.origin].append(message)

    def _post(self, partition: Partition, record: Record) -> None:
        if self.random.random() < self._delays:
            self._late.append((partition, record))
        else:
            self._append(partition, record)

    def _append(self, partition: Partition, record: Record) -> None:
        self.now += A_MILLISECOND
        at = self.now
        if partition.aggregate is not ORDER_AGGREGATE and self._skew:
            at -= self.random.random() * self._skew
        partition.log.append(replace(record, at=at))
        if record.origin and self.random.random() < self._echoes:
            self._late.append((partition, record))

    def _home(self, request: Contract) -> Partition:
        topic = TOPIC_OF[type(request)]
        return self.partitions[topic][int(topic.key_of(request)) % PARTITIONS]


def _request(message: OutgoingMessage) -> Contract:
    return message.message if isinstance(message, WithHeaders) else message
