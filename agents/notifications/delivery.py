"""One notice over all transports, for as long as it takes."""

import asyncio
import logging
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from prometheus_client import Counter

from agents.notifications.notice import Notice
from agents.notifications.transports import Permanent, Transient, Transport

NOTICES = Counter(
    "notices_total",
    "What became of notices: sent, refused for good, opted out, or failed for now.",
    ["transport", "outcome"],
)

_log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a notice that nobody refused."""

    SENT = "sent"
    OPTED_OUT = "opted out"


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between attempts: from the first, doubling, up to the longest."""

    first: float = 0.5
    longest: float = 30.0


class Delivery:
    """Brings a notice over every transport, each at its own pace and each only once.

    Args:
        transports: all of them.
        opted_out: the users who want no notices; asked before each attempt, since one may
            have to wait for long.
        pauses: between attempts.
        random: shortens them, so that not all come back at once.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        opted_out: Container[int] = (),
        pauses: Pauses | None = None,
        random: Random | None = None,
    ) -> None:
        self._transports = transports
        self._opted_out = opted_out
        self._pauses = pauses or Pauses()
        self._random = random or Random()

    async def deliver(self, notice: Notice) -> Outcome:
        """Return when every transport has taken the notice; passing failures are outlived.

        Returns:
            OPTED_OUT if its user wants none, or wanted no more of it while it was tried.

        Raises:
            Permanent: some refused it for good, and all others have taken it.
        """
        ends = await self._over_all(notice)
        if refusals := [str(end) for end in ends if isinstance(end, Permanent)]:
            raise Permanent("; ".join(refusals))
        if Outcome.OPTED_OUT not in ends:
            return Outcome.SENT
        _tell_withheld(notice)
        return Outcome.OPTED_OUT

    async def _over_all(self, notice: Notice) -> list[Outcome | Permanent]:
        if len(self._transports) == 1:  # a log line: tasks would cost more than all of it
            return [await self._insist(self._transports[0], notice)]
        async with asyncio.TaskGroup() as group:
            tried = [
                group.create_task(self._insist(transport, notice))
                for transport in self._transports
            ]
        return [task.result() for task in tried]

    async def _insist(self, transport: Transport, notice: Notice) -> Outcome | Permanent:
        """Try until it is taken, refused for good or no longer wanted."""
        pause = self._pauses.first
        while notice.event.user not in self._opted_out:
            try:
                await transport.deliver(notice)
            except Permanent as refusal:
                _count(transport, "refused")
                return Permanent(f"{transport.name}: {refusal}")
            except Transient as failure:
                _heed_cancellation()
                _count(transport, "failed")
                wait = self._wait(pause, failure)
                _tell(transport, notice, failure, wait)
            else:
                _count(transport, Outcome.SENT)
                return Outcome.SENT
            await asyncio.sleep(wait)
            pause = min(self._pauses.longest, pause * 2)
        _count(transport, Outcome.OPTED_OUT)
        return Outcome.OPTED_OUT

    def _wait(self, pause: float, failure: Transient) -> float:
        return max(failure.wait_seconds, pause * self._random.uniform(0.5, 1))


def _count(transport: Transport, outcome: str) -> None:
    NOTICES.labels(transport.name, outcome).inc()


def _heed_cancellation() -> None:
    """Stop a task that was told to stop.

    The wait_for of Python 3.11, by which aiosmtplib reads its answers, loses a
    cancellation that comes together with the answer; this would go on for ever.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _tell(transport: Transport, notice: Notice, failure: Transient, wait: float) -> None:
    _log.warning(
        'notice not delivered transport=%s event="%s" reason=%r again_in=%.1fs',
        transport.name,
        notice.event_id,
        str(failure),
        wait,
    )


def _tell_withheld(notice: Notice) -> None:
    event = notice.event
    _log.info(
        'notice withheld event="%s" order=%d user=%d status="%s" outcome="opted out"',
        notice.event_id,
        event.order_id,
        event.user,
        event.status,
    )
