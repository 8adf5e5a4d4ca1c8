"""All calls with their results, and the invariants of such a history."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.clients import Answer, NoAnswer, ShopClient
from tests.e2e.traffic import CANCELLED, FAILED, OPEN, PAID

_READS = ("listCart", "listOrder", "stocks")
_RANK = {"new": 0, OPEN: 1, FAILED: 2, PAID: 2, CANCELLED: 2}
_FINAL = 2


@dataclass(frozen=True)
class Call:
    """One attempt of a call.

    Attributes:
        began: seconds of a monotonic clock, as `ended`.
        answer: None, if the result is unknown.
    """

    call: str
    key: str | None
    body: dict[str, Any]
    began: float
    ended: float
    answer: Answer | None

    @property
    def owner(self) -> tuple[str, int]:
        """The owner of the request, which is the scope of its key."""
        name = next(n for n in ("orderID", "user", "sku") if n in self.body)
        return name, self.body[name]


@dataclass
class History:
    """Calls and their answers, in the order of the answers."""

    calls: list[Call] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """The number of answered calls."""
        return sum(call.answer is not None for call in self.calls)

    def violations(self) -> Iterator[str]:
        """Yield a text for each violation."""
        yield from retries_answered_differently(self.calls)
        yield from orders_that_went_back(self.calls)


class Recorder(ShopClient):
    """A client that records its calls."""

    def __init__(self, client: ShopClient, history: History) -> None:
        self._client = client
        self._history = history

    async def ask(self, call: str, body: dict[str, Any], key: str | None = None) -> Answer:
        """Send a request once."""
        began = time.monotonic()
        try:
            answer = await self._client.ask(call, body, key)
        except NoAnswer:
            self._note(call, body, key, began, None)
            raise
        self._note(call, body, key, began, answer)
        return answer

    def _note(
        self,
        call: str,
        body: dict[str, Any],
        key: str | None,
        began: float,
        answer: Answer | None,
    ) -> None:
        one = Call(call, key, body, began, time.monotonic(), answer)
        self._history.calls.append(one)


def retries_answered_differently(calls: Sequence[Call]) -> Iterator[str]:
    """A successful request always has the same reply; a refused one is decided again."""
    replies: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in calls:
        if one.call in _READS or one.answer is None or one.answer.code is not None:
            continue
        request = (one.owner, one.call, one.key)
        first = replies.setdefault(request, one.answer.reply)
        if first != one.answer.reply:
            yield f"{request} was answered {first}, and then {one.answer.reply}"


def orders_that_went_back(calls: Sequence[Call]) -> Iterator[str]:
    """A read that starts after another one ended returns the same status or a later one."""
    looks: defaultdict[int, list[Call]] = defaultdict(list)
    for one in calls:
        if one.call == "listOrder" and one.answer and one.answer.code is None:
            looks[one.body["orderID"]].append(one)
    for order, seen in looks.items():
        for later in seen:
            earlier = [look for look in seen if look.ended < later.began]
            for look in earlier[-1:]:
                yield from _gone_back(order, look, later)


def _gone_back(order: int, earlier: Call, later: Call) -> Iterator[str]:
    was, now = (look.answer.reply["status"] for look in (earlier, later) if look.answer)
    if _RANK[now] < _RANK[was] or (_RANK[was] == _FINAL and now != was):
        yield f"order {order} was {was}, and then {now}"
