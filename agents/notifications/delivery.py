"""One notice over all transports, for as long as it takes."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agents.notifications.notice import Notice
from agents.notifications.transports import Permanent, Transient, Transport

_LONGEST_WAIT_SECONDS = 300.0  # that a receiver may ask for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between attempts: from the first, doubling, up to the longest."""

    first: float = 0.5
    longest: float = 30.0


class Delivery:
    """Brings a notice over every transport, each at its own pace and each only once."""

    def __init__(
        self,
        transports: Sequence[Transport],
        pauses: Pauses | None = None,
        random: Random | None = None,
    ) -> None:
        self._transports = transports
        self._pauses = pauses or Pauses()
        self._random = random or Random()

    async def deliver(self, notice: Notice) -> None:
        """Return when every transport has taken the notice; passing failures are outlived.

        Raises:
            Permanent: some refused it for good, and all others have taken it.
        """
        async with asyncio.TaskGroup() as group:
            tried = [
                group.create_task(self._insist(transport, notice))
                for transport in self._transports
            ]
        refusals = [refusal for task in tried if (refusal := task.result())]
        if refusals:
            raise Permanent("; ".join(refusals))

    async def _insist(self, transport: Transport, notice: Notice) -> str | None:
        """Try until it is taken (None) or refused for good (the reason)."""
        pause = self._pauses.first
        while True:
            try:
                await transport.deliver(notice)
            except Permanent as refusal:
                return f"{transport.name}: {refusal}"
            except Transient as failure:
                _heed_cancellation()
                wait = self._wait(pause, failure)
                _tell(transport, notice, failure, wait)
            else:
                return None
            await asyncio.sleep(wait)
            pause = min(self._pauses.longest, pause * 2)

    def _wait(self, pause: float, failure: Transient) -> float:
        asked_for = min(failure.wait_seconds, _LONGEST_WAIT_SECONDS)
        return max(asked_for, pause * self._random.uniform(0.5, 1))


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
