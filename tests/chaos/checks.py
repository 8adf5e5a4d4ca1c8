"""The invariants that must hold after a round."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.environment import Environment
from tests.chaos.history import History
from tests.chaos.records import MARK
from tests.chaos.rivals import Rival
from tests.e2e.audit import (
    audit_notices,
    carts_and_orders,
    nothing_is_left_undone,
    order_events,
    run_audit,
    stock,
)

MAX_SHOWN = 2000  # characters of a violation


@dataclass
class RoundChecks:
    """The checks of a round that is over.

    Attributes:
        shoppers: of the round, with the expected results of their calls.
    """

    environment: Environment
    shoppers: list[Rival]
    history: History

    async def violations(self) -> list[str]:
        """Run all checks; return a text for each violation."""
        checks = (
            self._acknowledged_is_durable,
            self._one_legal_history_each,
            self._nothing_is_stuck,
            self._stock_matches_orders,
            self._one_notification_each,
            self._dead_letters_are_complete,
            self._audit_finds_no_difference,
        )
        found = [wrong for check in checks if (wrong := await _violation(check))]
        return [*found, *self.history.violations()]

    async def _acknowledged_is_durable(self) -> None:
        client = self.environment.clients[0]
        await asyncio.gather(*(carts_and_orders(one, client) for one in self.shoppers))

    async def _one_legal_history_each(self) -> None:
        await self.environment.kafka.drain()
        order_events(self.shoppers, self.environment.kafka)

    async def _nothing_is_stuck(self) -> None:
        await nothing_is_left_undone(self.environment.kafka)

    async def _stock_matches_orders(self) -> None:
        await self.environment.kafka.drain()
        await stock(
            self.environment.all_shoppers,
            self.environment.kafka,
            self.environment.clients[0],
        )

    async def _one_notification_each(self) -> None:
        # A worker that is killed between the mail and its own row repeats the mail.
        await audit_notices(self.shoppers, self.environment.mailbox, once=False)

    async def _dead_letters_are_complete(self) -> None:
        """Each invalid record is a dead letter, byte for byte, and no other record is."""
        await self.environment.kafka.drain()
        seen = self.environment.kafka.seen
        dead_letters = [
            one for topic in seen if topic.endswith(".dlq") for one in seen[topic]
        ]
        sent = dict(enumerate(self.environment.poison))
        for record in dead_letters:
            headers = dict(record.headers)
            one = sent.pop(int(headers[MARK]), None)  # a KeyError: a valid record
            if one is not None:
                assert (record.key, record.value) == (one.key, one.value)
                assert headers["dlq.topic"] == one.topic.encode()
        assert not sent, f"{len(sent)} poisoned records are in no dead letters"

    async def _audit_finds_no_difference(self) -> None:
        code, output = await audit(self.environment)
        assert code == 0, f"make audit: exit code {code}\n{output}"


async def _violation(check: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await check()
    except (AssertionError, KeyError, TimeoutError) as wrong:
        return f"{check.__name__.strip('_')}: {wrong!r}"[:MAX_SHOWN]
    return None


def checkpoints(environment: Environment) -> Path:
    """Return the directory of the shop's checkpoints."""
    return environment.shop.local.directory / "checkpoints"


async def audit(environment: Environment, *options: str) -> tuple[int, str]:
    """Run `make audit`'s program on the shop; return its exit code and last lines.

    It begins at the newest checkpoint, if there is one.
    """
    found = checkpoints(environment)
    if found.is_dir() and any(found.iterdir()) and "--forget-before" not in options:
        options = ("--from", str(found), *options)
    code, output = await run_audit(environment.shop, *options)
    return code, output[-MAX_SHOWN:]
