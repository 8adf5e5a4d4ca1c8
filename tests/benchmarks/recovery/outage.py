"""One outage: from the kill to the first answer, and its phases."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from tests.e2e.clients import NoAnswer, ShopClient
from tests.e2e.processes import Unit

ASK_AGAIN_SECONDS = 0.05

NUMBERS = re.compile(r"ready partitions=\d+ numbers=([\d,]*)")
_WHEN = re.compile(r"^time=(\S+ \S+) ")

# Log lines of a worker that restarts, in this order; a phase ends with each.
_STEPS = {
    "begins": "event=starting service=",
    "joins": "(Re-)joining group",
    "joined": "Successfully synced group",
    "recovered": "recovered rows=",
    "ready": "ready partitions=",
}


@dataclass(frozen=True)
class Outage:
    """The time without an answer.

    Attributes:
        seconds: from the kill to the first answer to a later query.
        phases: their seconds, by the step that ended each; `answer` is the last.
    """

    seconds: float
    phases: dict[str, float]


def owned(unit: Unit) -> list[int]:
    """Return the partitions in the last such log line of a worker."""
    found = NUMBERS.findall(unit.log.read_text(errors="replace"))
    return [int(number) for number in found[-1].split(",") if number] if found else []


async def outage(
    fault: Callable[[], Awaitable[None]],
    client: ShopClient,
    query: tuple[str, dict[str, int]],
    successor: Unit,
) -> Outage:
    """Inject a fault, and send queries until one is answered.

    Args:
        fault: ends the owner of a key.
        client: sends the queries.
        query: a call and its body, about that key.
        successor: the next owner of the key; its log has the phases.
    """
    log, clock = OutageLog(successor), time.monotonic()
    injection = asyncio.create_task(fault())
    await _first_answer(client, *query)
    seconds = time.monotonic() - clock
    await injection
    return Outage(seconds, log.phases(seconds))


class OutageLog:
    """The log of a key's next owner, from the begin of an outage."""

    def __init__(self, successor: Unit) -> None:
        self._log = successor.log
        self._read = self._log.stat().st_size
        self._began = time.time()

    def phases(self, seconds: float) -> dict[str, float]:
        """Divide an outage of some seconds at the owner's last step of each kind."""
        log = self._log.read_bytes()[self._read :].decode(errors="replace")
        ended = self._began + seconds
        times = dict(sorted(_steps(log, ended).items(), key=lambda step: step[1]))
        phases, last = {}, self._began
        for step, at in {**times, "answer": ended}.items():
            phases[step], last = at - last, at
        return phases


async def _first_answer(client: ShopClient, call: str, body: dict[str, int]) -> None:
    tasks: set[asyncio.Task[bool]] = set()
    await asyncio.sleep(0)  # the fault goes first
    while not any(task.done() and task.result() for task in tasks):
        tasks.add(asyncio.create_task(_answered(client, call, body)))
        await asyncio.wait(tasks, timeout=ASK_AGAIN_SECONDS, return_when="FIRST_COMPLETED")
        failed = {task for task in tasks if task.done() and not task.result()}
        if failed:
            tasks -= failed
            await asyncio.sleep(ASK_AGAIN_SECONDS)
    await asyncio.gather(*tasks)


async def _answered(client: ShopClient, call: str, body: dict[str, int]) -> bool:
    try:
        await client.ask(call, body)
    except NoAnswer:
        return False
    return True


def _steps(log: str, ended: float) -> dict[str, float]:
    times: dict[str, float] = {}
    for line in log.splitlines():
        when = _WHEN.match(line)
        step = next((name for name, words in _STEPS.items() if words in line), None)
        if when and step:
            at = datetime.strptime(when[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007
            if at <= ended:
                times[step] = at
    return times
