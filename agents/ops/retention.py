"""What remains of a forgotten user in Kafka, and until when at the latest.

Kafka deletes no single record of a log: what a topic keeps for a time goes with that time,
what it compacts goes when newer rows have come. So it is a matter of each topic's settings.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from topics.catalog import (
    CARTS_CHANGELOG,
    ORDERS_CHANGELOG,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    TOPICS,
)
from topics.topic import TopicKind

DELETION_DELAY = timedelta(minutes=10)
"""A broker looks every five minutes for what is over, and deletes files a minute later."""

_LOGS = {
    TopicKind.REQUESTS: "what was asked",
    TopicKind.EVENTS: "what became of orders",
    TopicKind.REPLIES: "what was answered",
    TopicKind.DEAD_LETTERS: "what could not be served",
}
_FOR_GOOD = {
    ORDERS_CHANGELOG: "orders, as nobody's",
    STOCK_CHANGELOG: "goods of orders, by orderID",
    SENT_CHANGELOG: "notices by orderID, sent ones and pending ones",
}
_COMPACTION = ("max.compaction.lag.ms", "min.compaction.lag.ms")
"""A file is closed within the first, and left alone for the second after its last row."""


Settings = Mapping[str, str]


class RetainedData(NamedTuple):
    """Something that is still there.

    Attributes:
        until: when it is gone at the latest; None: it stays.
    """

    topic: str
    what: str
    until: datetime | None


def retained_data(
    settings: Mapping[str, Settings], now: datetime
) -> Iterator[RetainedData]:
    """Yield what remains of a user who has just been forgotten.

    Args:
        settings: those in force of each topic, by its name.
        now: what there is of him was written before.
    """
    for topic in TOPICS:
        if what := _LOGS.get(topic.kind):
            until = _retained(settings[topic.name], now)
            yield RetainedData(topic.name, what, until)
    for topic in (CARTS_CHANGELOG, ORDERS_CHANGELOG):
        until = _later(settings[topic.name], now, *_COMPACTION)
        yield RetainedData(topic.name, "rows as they were", until)
    # What says that a row is no more is compacted itself, some time after the first time.
    twice = (*_COMPACTION, "delete.retention.ms", *_COMPACTION)
    until = _later(settings[CARTS_CHANGELOG.name], now, *twice)
    yield RetainedData(CARTS_CHANGELOG.name, "the user's number, and no more", until)
    for topic, what in _FOR_GOOD.items():
        yield RetainedData(topic.name, what, None)


def _retained(settings: Settings, now: datetime) -> datetime | None:
    """A file of a log goes when its newest record is over; it is written for a time."""
    if int(settings["retention.ms"]) < 0:
        return None
    return _later(settings, now, "segment.ms", "retention.ms")


def _later(settings: Settings, now: datetime, *names: str) -> datetime | None:
    milliseconds = sum(int(settings[name]) for name in names)
    try:
        return now + timedelta(milliseconds=milliseconds) + DELETION_DELAY
    except OverflowError:  # Kafka's way to say never
        return None
