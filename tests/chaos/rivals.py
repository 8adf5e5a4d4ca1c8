"""Shoppers that also cause conflicts: they retry, race themselves, and buy scarce stock."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.ids import IdFactory
from tests.e2e.traffic import CANCELLED, FAILED, OPEN, PAID, Shopper, Step

Past = tuple[str, str, dict[str, Any], dict[str, Any]]


@dataclass
class Rival(Shopper):
    """A shopper that competes for scarce stock.

    Attributes:
        scarce: a sku without enough stock for all.
        past: calls with an effect, with their keys and replies.
    """

    scarce: int = 0
    past: list[Past] = field(default_factory=list)

    def choices(self) -> list[Step]:
        """Return the possible next calls."""
        more = [self._grab, self._grab]
        more += [self._ask_again] * 2 if self.past else []
        more += [self._race] if self._open() else []
        return [*super().choices(), *more]

    async def _ask(self, call: str, **body: Any) -> dict[str, Any]:
        key = IdFactory.key()
        reply = await self._carried_out(call, key, body)
        self.past.append((call, key, body, reply))
        return reply

    async def _carried_out(
        self, call: str, key: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        answer = await self.chance.choice(self.clients).ask_until_answered(
            call, key, **body
        )
        assert answer.code is None, (call, body, answer)
        return answer.reply

    async def _ask_again(self) -> None:
        """Retry a call: the same answer, and no second effect."""
        call, key, body, reply = self.chance.choice(self.past[-100:])
        assert await self._carried_out(call, key, body) == reply, (call, key, body)

    async def _race(self) -> None:
        """Pay and cancel at once: one of them succeeds, the other is refused."""
        order = self.chance.choice(self._open())
        clients = self.chance.choices(self.clients, k=2)
        calls = {"orderPayed": PAID, "cancelOrder": CANCELLED}
        answers = await asyncio.gather(
            *(
                client.ask_until_answered(call, IdFactory.key(), orderID=order)
                for client, call in zip(clients, calls, strict=True)
            )
        )
        codes = [answer.code for answer in answers]
        assert sorted(codes, key=str) == [None, "wrong-status"], (order, codes)
        winner = list(calls.values())[codes.index(None)]
        self.orders[order] = winner, self.orders[order][1]

    async def _grab(self) -> None:
        """Order a scarce sku, and look at the order's status."""
        lines = {self.scarce: self.chance.randint(1, 3)}
        items = [{"sku": sku, "count": count} for sku, count in lines.items()]
        reply = await self._ask("createOrder", user=self.user, items=items)
        client = self.chance.choice(self.clients)
        shown = await client.ask_until_answered("listOrder", IdFactory.key(), **reply)
        status = shown.reply["status"]
        assert status in (OPEN, FAILED), shown
        self.orders[reply["orderID"]] = status, lines
