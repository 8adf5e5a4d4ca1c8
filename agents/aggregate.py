"""An aggregate: the pure rules of one kind of entity, and one step of them.

The state is one row of a table, or a NamedTuple of several rows that are written together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from agents.row_serde import RowSerde
from schemas.contract import Code, Contract, Refused
from topics.topic import Topic

S = TypeVar("S")
R = TypeVar("R", bound=Contract)
E = TypeVar("E")


class Cause(NamedTuple):
    """The only clock and the only source of ids for the rules; stable on redelivery.

    Attributes:
        timestamp: of the record (the broker's clock), aware, UTC.
        origin: `topic-partition-offset` of the first record of the conversation. It
            identifies one attempt of a client; follow-ups carry it as a header.
        idempotency_key: of the client, shared by all attempts at one request.
        headers: extra ones, for rules; follow-ups carry them, too.
        is_first: whether the record itself is the first of the conversation. Another one
            was forwarded, perhaps again after a crash, or is a follow-up.
    """

    timestamp: datetime
    origin: str
    idempotency_key: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    is_first: bool = True

    @property
    def request_id(self) -> str:
        """The identity of the request: the client's key, or else the record itself."""
        key = self.idempotency_key
        return self.origin if key is None else f"key:{key}"


class Refusal(Exception):  # noqa: N818 -- an answer, not an error
    """A rule refuses a request: nothing is stored, and the client gets a reply."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def reply(self) -> Refused:
        """The reply to the client."""
        return Refused(code=self.code, text=str(self))


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """A message with extra headers, of `PROPAGATED`; its follow-ups carry them, too."""

    message: Contract
    headers: Mapping[str, str]


OutgoingMessage = Contract | WithHeaders


def never(_: object) -> None:
    """Return None: a row that does not expire."""


@dataclass(frozen=True, eq=False)
class Aggregate(Generic[S, R, E]):
    """The rules of an aggregate, as the runtime calls them.

    Attributes:
        requests: the topic of its requests.
        changelog: the topic of its table.
        rows: the class, or union of classes, of each of a state's rows.
        identify: returns the row keys of a request, in the order of `rows`.
        decide: returns the events of a request, or raises a Refusal.
        evolve: applies one event.
        follow_up: returns the messages to send, from the state after and the request.
        state: builds the state from its rows; a single row is the state itself.
        expires: returns from when on a row counts as absent, by the timestamp of the record
            that is processed; None: never. So the state stays a fold of the log, whether
            and whenever the row is deleted.
        index: of the table, by a row's JSON; see `agents.runtime.state_store.Index`.
    """

    requests: Topic
    changelog: Topic
    rows: tuple[Any, ...]
    identify: Callable[[R, Cause], tuple[str, ...]]
    decide: Callable[[S, R, Cause], Sequence[E]]
    evolve: Callable[[S, E], S]
    follow_up: Callable[[S, R, Cause], Iterable[OutgoingMessage]]
    state: Callable[..., S] = lambda row: row
    expires: Callable[[Any], datetime | None] = never
    index: Callable[[bytes], tuple[bytes, bool] | None] = lambda _: None

    @cached_property
    def serdes(self) -> tuple[RowSerde, ...]:
        """The serde of each of a state's rows."""
        return tuple(map(RowSerde, self.rows))

    def unexpired(self, row: Any, at: datetime) -> Any:  # noqa: ANN401 -- one of `rows`
        """Return a row; None if there is none, or if it has expired at a time."""
        if row is None:
            return None
        end = self.expires(row)
        return row if end is None or at < end else None

    def step(
        self, state: S, request: R, cause: Cause, *, redelivered: bool = False
    ) -> tuple[S, list[OutgoingMessage]]:
        """Return the state after a request, and the messages to send.

        The state is the same object if nothing changed. The state before a redelivered
        request already includes it.
        """
        try:
            events = self.decide(state, request, cause)
            # A redelivered request that could change the state now was refused then.
            after = state if redelivered else reduce(self.evolve, events, state)
            return after, list(self.follow_up(after, request, cause))
        except Refusal as refusal:
            return state, [refusal.reply]
