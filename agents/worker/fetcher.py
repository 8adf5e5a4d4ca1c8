"""aiokafka's fetcher with incremental fetch sessions (KIP-227).

A request names only the partitions whose position has changed, and a response only those
with news. aiokafka names all partitions in each, and its cost would follow their number.
"""

import asyncio
from collections import defaultdict
from io import BytesIO
from time import monotonic
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord, TopicPartition

from topics.kafka import wire

YIELDS = 8  # turns of the event loop until a fetched record is processed and its reply sent

SECONDS_BY_PARTITION = 20e-6
"""Least time between two fetches, for each partition of theirs: a broker needs a tenth of
that for each. So the cost of a busy consumer does not follow their number."""

MAX_IDLE_WAIT_MS = 200
"""A broker holds a fetch without news so long; from `fetch_max_wait_ms` on, each such fetch
doubles the time. A partition that is added meanwhile waits for the end of the fetch."""

Positions = dict[TopicPartition, int]


class FetchSession:
    """The partitions that a broker fetches for this consumer.

    Attributes:
        positions: the partitions of the session, as they were sent.
    """

    def __init__(self) -> None:
        self.positions: Positions = {}
        self._id = 0
        self._epoch = 0

    def request(self, positions: Positions, most: int) -> tuple[Any, ...]:
        """Return the session, the changed partitions and the removed ones."""
        if not self._epoch:
            self.positions = {}
        topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, offset in positions.items():
            if self.positions.get(tp) != offset:
                topics[tp.topic].append((tp.partition, offset, most))
        removed: defaultdict[str, list[int]] = defaultdict(list)
        for topic, number in self.positions.keys() - positions.keys():
            removed[topic].append(number)
        self.positions = positions
        return (self._id, self._epoch), topics, removed

    def answered(self, response: wire.FetchResponse) -> bool:
        """Continue the session; return whether the response belongs to it."""
        if response.error:
            self.reset()
            return False
        self._id = response.session
        self._epoch = self._epoch % (2**31 - 1) + 1 if response.session else 0
        return True

    def reset(self) -> None:
        """Begin a new session: the broker may not have got the last request."""
        self._epoch = 0


class SessionFetch(wire.Message):
    """A fetch of all partitions at their `positions`, as far as its session needs it."""

    API_KEY = wire.FetchRequest.API_KEY
    API_VERSION = wire.FetchRequest.API_VERSION

    def __init__(
        self,
        session: FetchSession,
        limits: tuple[int, int, int, int],
        positions: Positions,
        most: int,
    ) -> None:
        self._session = session
        self._limits = limits
        self.positions = positions
        self._most = most
        self._response: wire.FetchResponse | None = None
        self.is_pending = False

    def encode(self) -> bytes:
        """Return the request, in the state of the session at this moment."""
        self.is_pending = True
        parts = self._session.request(self.positions, self._most)
        return wire.FetchRequest(self._limits, *parts).encode()

    def decode(self, response: BytesIO) -> wire.FetchResponse:
        """Read the response."""
        decoded = wire.FetchRequest.decode(response)
        if not self._session.answered(decoded):
            decoded = decoded._replace(topics=[])
        self._response, self.is_pending = decoded, False
        return decoded

    @property
    def topics(self) -> wire.Topics:
        """The partitions of the response as they were requested, for aiokafka."""
        return [
            (topic, [(p, self.positions[TopicPartition(topic, p)], 0) for p, *_ in found])
            for topic, found in (self._response.topics if self._response else ())
        ]


class SessionFetcher(fetcher.Fetcher):
    """Fetches in sessions; replaces aiokafka's `Fetcher`.

    It also yields to the event loop before each fetch. aiokafka fetches at once: building
    a fetch would delay the replies to the present records.

    Attributes:
        interval: least seconds between two fetches from a broker.
    """

    interval = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        self._sessions: defaultdict[int, FetchSession] = defaultdict(FetchSession)
        self._wait_ms: int = options["fetch_max_wait_ms"]
        self._fetched_at: defaultdict[int, float] = defaultdict(float)
        super().__init__(*args, **options)

    def _get_actions_per_node(self, assignment: Any) -> tuple[Any, ...]:
        """Return fetches and position resets by broker, as aiokafka's method does."""
        leader_of = self._client.cluster.leader_for_partition
        backoffs: defaultdict[int, list[float]] = defaultdict(list)
        for tp, result in self._records.items():
            if tp in assignment.tps and (backoff := result.calculate_backoff()):
                backoffs[leader_of(tp)].append(backoff)
        busy = self._in_flight | backoffs.keys()
        timeout = min(map(max, backoffs.values()), default=self._fetcher_timeout)
        brokers = {broker.nodeId for broker in self._client.cluster.brokers()}
        if busy and busy >= brokers:  # which is what most calls find
            return [], {}, timeout, False, []
        fetchable: defaultdict[int, Positions] = defaultdict(dict)
        resets: defaultdict[int, list[TopicPartition]] = defaultdict(list)
        resumed, is_leaderless = [], False
        for tp, state in assignment._tp_state.items():  # its properties cost a call each
            if tp in self._records:
                continue
            leader, position = leader_of(tp), state._position
            if leader in self._in_flight:
                continue
            if leader is None or leader < 0:
                is_leaderless = True
            elif position is None:
                resets[leader].append(tp)
            elif state._paused:
                resumed.append(state.resume_fut)
            else:
                fetchable[leader][tp] = position
        limits = (
            self._wait_ms,
            self._fetch_min_bytes,
            self._fetch_max_bytes,
            self._isolation_level,
        )
        most = self._max_partition_fetch_bytes
        requests = [
            (node, SessionFetch(self._sessions[node], limits, positions, most))
            for node, positions in fetchable.items()
            if node not in backoffs and node not in resets
        ]
        return requests, resets, timeout, is_leaderless, resumed

    async def poll(
        self, partitions: set[TopicPartition], seconds: float, most: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return fetched records of partitions, so many; wait for some, but not longer."""
        fetched: dict[TopicPartition, list[ConsumerRecord]]
        if not (fetched := await self.fetched_records(partitions, 0, most)):
            waiter = self._create_fetch_waiter()
            timer = self._loop.call_later(seconds, self._notify, waiter)
            await waiter
            timer.cancel()
            fetched = await self.fetched_records(partitions, 0, most)
        return fetched

    async def _proc_fetch_request(self, assignment: Any, node: int, request: Any) -> bool:
        try:
            for _ in range(YIELDS):
                await asyncio.sleep(0)
            seconds = max(self.interval, SECONDS_BY_PARTITION * len(request.positions))
            if (left := self._fetched_at[node] + seconds - monotonic()) > 0:
                await asyncio.sleep(left)
        except asyncio.CancelledError:
            return False  # as aiokafka does when its partitions are revoked
        self._fetched_at[node] = monotonic()
        try:
            new: bool = await super()._proc_fetch_request(assignment, node, request)
            longer = min(2 * self._wait_ms, MAX_IDLE_WAIT_MS)
            self._wait_ms = self._fetch_max_wait_ms if new else longer
            return new
        finally:
            if request.is_pending:
                self._sessions[node].reset()
