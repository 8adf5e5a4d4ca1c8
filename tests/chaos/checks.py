"""The invariants that must hold after a round."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.ops.local.deployment import REPOSITORY
from tests.chaos.arena import Arena
from tests.chaos.history import History
from tests.chaos.people import Rival
from tests.chaos.records import MARK
from tests.e2e.audit import (
    audit_notices,
    carts_and_orders,
    facts,
    nothing_is_left_undone,
    stock,
)

MOST_SHOWN = 2000  # characters of a violation


@dataclass
class Aftermath:
    """The checks of a round that is over.

    Attributes:
        shoppers: of the round, with the expected results of their calls.
    """

    arena: Arena
    shoppers: list[Rival]
    history: History

    async def violations(self) -> list[str]:
        """Run all checks; return a text for each violation."""
        checks = (
            self._acknowledged_is_durable,
            self._one_legal_life_each,
            self._nothing_is_stuck,
            self._goods_are_where_their_orders_say,
            self._one_notice_each,
            self._dead_letters_are_complete,
            self._the_log_says_the_same,
        )
        found = [wrong for check in checks if (wrong := await _verdict(check))]
        return [*found, *self.history.violations()]

    async def _acknowledged_is_durable(self) -> None:
        door = self.arena.doors[0]
        await asyncio.gather(*(carts_and_orders(one, door) for one in self.shoppers))

    async def _one_legal_life_each(self) -> None:
        await self.arena.kafka.caught_up()
        facts(self.shoppers, self.arena.kafka)

    async def _nothing_is_stuck(self) -> None:
        await nothing_is_left_undone(self.arena.kafka)

    async def _goods_are_where_their_orders_say(self) -> None:
        await self.arena.kafka.caught_up()
        await stock(self.arena.everybody, self.arena.kafka, self.arena.doors[0])

    async def _one_notice_each(self) -> None:
        # A worker that is killed between the mail and its own row repeats the mail.
        await audit_notices(self.shoppers, self.arena.post, once=False)

    async def _dead_letters_are_complete(self) -> None:
        """Each invalid record is a dead letter, byte for byte, and no other record is."""
        await self.arena.kafka.caught_up()
        seen = self.arena.kafka.seen
        letters = [one for topic in seen if topic.endswith(".dlq") for one in seen[topic]]
        sent = dict(enumerate(self.arena.poison))
        for record in letters:
            headers = dict(record.headers)
            one = sent.pop(int(headers[MARK]), None)  # a KeyError: a valid record
            if one is not None:
                assert (record.key, record.value) == (one.key, one.value)
                assert headers["dlq.topic"] == one.topic.encode()
        assert not sent, f"{len(sent)} poisoned records are in no dead letters"

    async def _the_log_says_the_same(self) -> None:
        code, said = await _audit(self.arena)
        assert code == 0, f"make audit: exit code {code}\n{said}"


async def _verdict(check: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await check()
    except (AssertionError, KeyError, TimeoutError) as wrong:
        return f"{check.__name__.strip('_')}: {wrong!r}"[:MOST_SHOWN]
    return None


async def _audit(arena: Arena) -> tuple[int, str]:
    """Run `make audit`'s program on the shop; return its exit code and last lines."""
    own = {"KAFKA": arena.shop.kafka, "PARTITIONS": str(arena.shop.partitions)}
    own |= {"RUN_DIR": str(arena.shop.local.directory)}  # not the shop of this repository
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.ops.audit", "--quiet"),
        cwd=REPOSITORY,
        env={**os.environ, **own},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    return running.returncode or 0, said.decode()[-MOST_SHOWN:]
