"""An aggregate: the pure rules of one kind of entity, and one step of them.

The state is one row of a table, or a NamedTuple of several rows that are written together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from agents.cause import Cause, WithHeaders
from agents.refusal import Refusal
from schemas.contract import Contract, Refused
from topics.topic import Topic

S = TypeVar("S")
R = TypeVar("R", bound=Contract)
E = TypeVar("E")

OutgoingMessage = Contract | WithHeaders


@dataclass(frozen=True, eq=False)
class Aggregate(Generic[S, R, E]):
    """The rules of an aggregate, as the runtime calls them.

    Attributes:
        requests: the topic of its requests.
        changelog: the topic of its table.
        rows: the class, or union of classes, of each of a state's rows.
        state: builds the state from its rows.
        identify: returns the row keys of a request, in the order of `rows`.
        decide: returns the events of a request, or raises a Refusal.
        evolve: applies one event.
        follow_up: returns the messages to send, from the state after and the request.
        index: of the table, by a row's JSON; see `agents.runtime.state_store.Index`.
    """

    requests: Topic
    changelog: Topic
    rows: tuple[Any, ...]
    state: Callable[..., S]
    identify: Callable[[R, Cause], tuple[str, ...]]
    decide: Callable[[S, R, Cause], Sequence[E]]
    evolve: Callable[[S, E], S]
    follow_up: Callable[[S, R, Cause], Iterable[OutgoingMessage]]
    index: Callable[[bytes], tuple[bytes, bool] | None] = lambda _: None

    @cached_property
    def adapters(self) -> tuple[TypeAdapter[Any], ...]:
        """The JSON codec of each of a state's rows."""
        return tuple(TypeAdapter(row) for row in self.rows)

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
            return state, [Refused(code=refusal.code, text=str(refusal))]


def single_row(row: S) -> S:
    """Build the state of a single row: the row itself."""
    return row
