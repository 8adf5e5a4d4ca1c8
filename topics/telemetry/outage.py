"""Logs outages of brokers: a line at the start, one a minute, and one at the end.

Kafka's clients log several lines for each attempt to reach a broker: 75 lines a second in a
worker, which rotate all history away within hours. `topics.kafka.connection` reports
failed and restored connections; these lines are suppressed and counted.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from aiokafka import errors

_EVERY = timedelta(minutes=1).total_seconds()

_STEADY = timedelta(seconds=2).total_seconds()
"""An outage ends after so long without a failure: a flapping broker has one outage."""

_RECENT = timedelta(minutes=1).total_seconds()
"""After so long without a failure, lines of the client have another cause."""

_OF_OUTAGES = (
    OSError,  # includes timeouts
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.RequestTimedOutError,
    errors.StaleMetadata,
    errors.BrokerNotAvailableError,
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
    errors.LeaderNotAvailableError,
    errors.NotLeaderForPartitionError,
)
_CONNECTING = {
    'Unable connect to "%s:%s": %s',
    "Unable connect to node with id %s: %s",
}
"""The lines of the outage have their errors."""

_REPEATED = {
    *_CONNECTING,
    'Unable to request metadata from "%s:%s": %s',
    "Unable to request metadata from node with id %s: %r",
    "Unable to update metadata from %s",
    "Error sending %s to node %s [%s] -- marking coordinator dead",
    "Marking the coordinator dead (node %s)for group %s.",
    "Group Coordinator Request failed: %s",
    "Heartbeat session expired - marking coordinator dead",
    "Heartbeat send request failed: %s. Will retry.",
    (
        "Heartbeat failed for group %s: coordinator (node %s)"
        " is either not started or not valid"
    ),
    "LeaveGroup request failed: %s",
    "OffsetCommit failed before join, ignoring: %s",
    "Failed to commit on finallization: %s",
    "Failed fetch messages from %s: %s",
    "Failed fetch offsets from %s: %s",
    "Unexpected error while fetching data: %s",
    "Attempt to fetch offsets for partition %s failed due to: %s",
    "FindCoordinator Request failed: %s",
    "Cannot send %r to %s: %r",
    "Could not send %r: %r",
    "Got error produce response: %s",
    "Got error produce response on topic-partition %s, retrying. Error: %s",
    # Lines of the shop.
    "event=waiting-for-kafka reason=%r",
    "event=replies-interrupted error=%r",
    "event=producer-failed error=%r",
}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outage:
    """The outage of one broker; times are monotonic seconds."""

    began: float
    failed: float
    written: float
    answered: float | None = None
    suppressed: int = 0


class Outages:
    """The brokers that this process can't reach.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}
        self._muted = False

    def mute_first_contact(self) -> None:
        """Log nothing until a broker has responded: a tool reports that failure itself."""
        self._muted = True

    def failed(self, broker: str, reason: BaseException | str) -> None:
        """Record a failed connection or request to a broker: host:port."""
        if self._muted:
            return
        now, text = self._clock(), _text(reason)
        outage = self._outages.get(broker)
        if outage is None:
            self._outages[broker] = _Outage(began=now, failed=now, written=now)
            log.warning("event=kafka-unreachable broker=%s reason=%r", broker, text)
            return
        outage.failed, outage.answered = now, None
        if now - outage.written >= _EVERY:
            outage.written = now
            log.warning(
                "event=kafka-unreachable broker=%s for_seconds=%.0f suppressed=%d"
                " reason=%r",
                broker,
                now - outage.began,
                outage.suppressed,
                text,
            )

    def answered(self, broker: str) -> None:
        """Record a response; it ends an outage without a recent failure."""
        self._muted = False
        outage = self._outages.get(broker)
        if outage is None:
            return
        now = self._clock()
        if outage.answered is None:
            outage.answered = now
        if now - outage.failed >= _STEADY:
            del self._outages[broker]
            log.warning(
                "event=kafka-reachable broker=%s after_seconds=%.1f suppressed=%d",
                broker,
                outage.answered - outage.began,
                outage.suppressed,
            )

    def suppress(self, record: logging.LogRecord) -> bool:
        """Return whether a log line repeats an outage; count it if so.

        Only known lines with a connection error do.
        """
        if not self._outages or not _is_of_outages(record):
            return False
        latest = max(self._outages.values(), key=lambda outage: outage.failed)
        if self._clock() - latest.failed > _RECENT:
            return False
        latest.suppressed += 1
        return True


OUTAGES = Outages()
"""The outages of this process, shared by its clients."""


def _is_of_outages(record: logging.LogRecord) -> bool:
    text = str(record.msg)
    if text not in _REPEATED or record.exc_info:
        return False
    if text in _CONNECTING or not isinstance(record.args, tuple):
        return True
    return not any(map(_is_other_error, record.args))


def _is_other_error(arg: object) -> bool:
    kind = arg if isinstance(arg, type) else type(arg)
    if not issubclass(kind, BaseException) or issubclass(kind, _OF_OUTAGES):
        return False
    cause = getattr(arg, "__cause__", None)
    return not isinstance(cause, BaseException) or _is_other_error(cause)


def _text(reason: BaseException | str) -> str:
    """Return a reason as text; an error without a text has the name of its class."""
    if isinstance(reason, str):
        return reason
    name, text = type(reason).__name__, str(reason)
    return text if name in text else f"{name}: {text}".removesuffix(": ")
