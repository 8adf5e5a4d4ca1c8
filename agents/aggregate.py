"""An aggregate: the pure rules of one kind of thing, and one turn of them.

A state lies in a table as one row, or as several that are written together: then it is a
NamedTuple of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from agents.cause import Cause, ForPurchase
from agents.refusal import Refusal
from schemas.contract import Code, Contract, Refused
from topics.topic import Topic

S = TypeVar("S")
R = TypeVar("R", bound=Contract)
E = TypeVar("E")

OutgoingMessage = Contract | ForPurchase


@dataclass(frozen=True, eq=False)
class Aggregate(Generic[S, R, E]):
    """The rules of an aggregate, as the runtime needs them.

    Attributes:
        requests: the topic that carries all that is asked of it.
        changelog: the topic that its table is recovered from.
        rows: for each of a state's rows the class, or union of classes, that it may be.
        state: makes the state that the rules see of its rows.
        identify: names the rows that a request is about, in the order of `rows`.
        decide: says what happens, or raises a Refusal.
        evolve: applies one event.
        follow_up: says all that must be said, from the state after and the request.
    """

    requests: Topic
    changelog: Topic
    rows: tuple[Any, ...]
    state: Callable[..., S]
    identify: Callable[[R, Cause], tuple[str, ...]]
    decide: Callable[[S, R, Cause], Sequence[E]]
    evolve: Callable[[S, E], S]
    follow_up: Callable[[S, R, Cause], Iterable[OutgoingMessage]]

    @cached_property
    def adapters(self) -> tuple[TypeAdapter[Any], ...]:
        """What turns each of a state's rows into JSON and back."""
        return tuple(TypeAdapter(row) for row in self.rows)

    def step(
        self, state: S, request: R, cause: Cause, *, redelivered: bool = False
    ) -> tuple[S, list[OutgoingMessage]]:
        """Take one record's turn.

        Args:
            state: before.
            request: what is asked.
            cause: what came with it.
            seen: the record was folded into this state before, and comes again.

        Returns:
            The state after (the same object if nothing happened), and what must be said.
        """
        try:
            events = self.decide(state, request, cause)
            # What could happen now and did not happen then was refused then.
            after = state if redelivered else reduce(self.evolve, events, state)
            return after, list(self.follow_up(after, request, cause))
        except Refusal as no:
            return state, [_refused(no.code, str(no))]


def single_row(row: S) -> S:
    """Make a state of its only row: they are the same."""
    return row


def _refused(code: Code, text: str) -> Refused:
    return Refused(code=code, text=text)
