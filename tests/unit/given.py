"""given(aggregate, what happened before).when(a request).then(what happens): a sentence.

The past is given as events, or as requests that are processed; `by` has the origin and the
time of one. Rows go through JSON before each step, as they do in production.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from msgspec.structs import replace

from agents.aggregate import Aggregate, Cause, OutgoingMessage, Refusal
from schemas.contract import Code, Contract, Refused
from topics.kafka.headers import PURCHASE

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ORIGINS = count()


@dataclass(frozen=True)
class Attempt:
    """A request and its cause."""

    request: Any
    cause: Cause


def by(
    request: Contract,
    origin: str | None = None,
    *,
    key: str | None = None,
    purchase: str | None = None,
    at: datetime | timedelta = NOON,
) -> Attempt:
    """Send a request: a new attempt unless `origin` names one; at noon or so much later."""
    moment = NOON + at if isinstance(at, timedelta) else at
    name = origin or f"somewhere-0-{next(_ORIGINS)}"
    headers = {} if purchase is None else {PURCHASE: purchase}
    return Attempt(request, Cause(moment, name, key, headers))


@dataclass(frozen=True)
class Outcome:
    """The result of one step; `sent` are its messages."""

    before: "Given"
    after: Any
    events: Sequence[Any] | None
    sent: list[OutgoingMessage]

    def then(self, *events: Any) -> "Outcome":
        assert list(events) == self.events
        return self

    def then_nothing(self) -> "Outcome":
        """No event; there may be messages."""
        assert self.events == []
        assert self.after == self.before.state
        return self

    def then_refused(self, code: Code) -> "Outcome":
        assert [code] == [a.code for a in self.sent if isinstance(a, Refused)]
        assert [Refused] == [type(a) for a in self.sent]
        assert _same(self.before.state, self.after)
        return self

    def sending(self, *messages: OutgoingMessage) -> "Outcome":
        assert list(messages) == self.sent
        return self

    def sending_nothing(self) -> "Outcome":
        return self.sending()

    def and_then(self, *more: Any) -> "Given":
        """Go on from here."""
        return given(self.before.aggregate, *more, state=self.after)


@dataclass(frozen=True)
class Given:
    """An aggregate with a past."""

    aggregate: Aggregate[Any, Any, Any]
    state: Any

    def when(
        self, request: Contract | Attempt, *, seen: bool = False, **who: Any
    ) -> Outcome:
        """Process a request; `seen` means that it is redelivered after a crash."""
        sent = request if isinstance(request, Attempt) else by(request, **who)
        after, messages = self.aggregate.step(
            self.state, sent.request, sent.cause, redelivered=seen
        )
        return Outcome(self, after, self._events(sent), messages)

    def _events(self, sent: Attempt) -> Sequence[Any] | None:
        try:
            return self.aggregate.decide(self.state, sent.request, sent.cause)
        except Refusal:
            return None


def given(aggregate: Aggregate[Any, Any, Any], *past: Any, state: Any = None) -> Given:
    """Return an aggregate with a past: events, requests and attempts."""
    state = aggregate.state() if state is None and len(aggregate.rows) > 1 else state
    for item in past:
        state = through_json(aggregate, _happened(aggregate, state, item))
    return Given(aggregate, state)


def _happened(aggregate: Aggregate[Any, Any, Any], state: Any, item: Any) -> Any:
    if isinstance(item, Attempt | Contract):
        return Given(aggregate, state).when(item).after
    return aggregate.evolve(state, item)


def rows_of(aggregate: Aggregate[Any, Any, Any], state: Any) -> tuple[Any, ...]:
    """Take a state apart into its rows."""
    return tuple(state) if len(aggregate.rows) > 1 else (state,)


def through_json(aggregate: Aggregate[Any, Any, Any], state: Any) -> Any:
    """Write a state's rows, and read them."""
    pairs = zip(aggregate.serdes, rows_of(aggregate, state), strict=True)
    read = [
        None if row is None else serde.deserialize(serde.serialize(row))
        for serde, row in pairs
    ]
    return aggregate.state(*read)


def _same(before: Any, after: Any) -> bool:
    """Compare states but for their memory of refusals, which is no effect."""
    if hasattr(after, "refused"):
        after = replace(after, refused={}, changed_at=None)
        before = before or type(after)()
        before = replace(before, refused={}, changed_at=None)
    return bool(before == after)
