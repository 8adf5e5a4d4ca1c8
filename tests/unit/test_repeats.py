"""What is logged of a warning that repeats, by a clock that the test turns."""

import logging
from collections.abc import Callable

import pytest

from topics.repeats import MAX_LINES, RepeatFilter

TIMEOUT = "event=timeout path=%s correlation=%s"


class Log:
    """A logger whose lines are kept, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.filter = RepeatFilter(lambda: self.now)

    def write(self, template: object, *words: object, **different: object) -> None:
        about = {"name": "gateway.app", "level": logging.WARNING} | different
        record = logging.LogRecord(
            pathname="", lineno=1, msg=template, args=words, exc_info=None, **about
        )
        if self.filter.filter(record):
            self.lines.append(record.getMessage())

    def fail(self, raising: Callable[[], object]) -> None:
        record = logging.LogRecord(
            "gateway.server", logging.ERROR, "", 1, "event=unexpected", (), None
        )
        try:
            raising()
        except (ValueError, KeyError) as error:
            record.exc_info = (type(error), error, error.__traceback__)
        if self.filter.filter(record):
            self.lines.append(raising.__name__)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_line_that_repeats_is_written_once_a_minute_with_the_count(log: Log):
    for n in range(1000):
        log.write(TIMEOUT, "/stocks", f"100%s-{n}")
        log.now += 0.125
    assert log.lines == [
        "event=timeout path=/stocks correlation=100%s-0",
        "event=timeout path=/stocks correlation=100%s-480 suppressed=479",
        "event=timeout path=/stocks correlation=100%s-960 suppressed=479",
    ]


def test_a_line_that_comes_once_in_a_while_is_written_as_it_is(log: Log):
    for n in range(3):
        log.write(TIMEOUT, "/stocks", n)
        log.now += 60.0
    assert log.lines == [f"event=timeout path=/stocks correlation={n}" for n in range(3)]


def test_each_logger_and_each_text_is_counted_on_its_own(log: Log):
    log.write(TIMEOUT, "/stocks", 1)
    log.write("event=draining")
    log.write(TIMEOUT, "/stocks", 1, name="other")
    assert len(log.lines) == 3


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
def test_neither_news_nor_last_words_are_bounded(log: Log, level: int):
    for _ in range(5):
        log.write("fail-stop: %s", "crashed", level=level)
    assert len(log.lines) == 5


def test_two_different_errors_are_both_written(log: Log):
    def one() -> None:
        raise ValueError

    def of_another_place() -> None:
        raise ValueError

    def of_another_class() -> None:
        {}["x"]

    for _ in range(3):
        log.fail(one)
        log.fail(of_another_place)
        log.fail(of_another_class)
    assert log.lines == ["one", "of_another_place", "of_another_class"]


def test_lines_of_outages_have_a_bound_of_their_own(log: Log):
    for broker in range(3):
        log.write("event=kafka-unreachable broker=%s", broker, name="topics.outage")
    assert len(log.lines) == 3


def test_so_many_texts_are_counted_and_no_more(log: Log):
    for n in range(2 * MAX_LINES):
        log.write(f"a text of its own {n}")
    assert len(log.lines) == 2 * MAX_LINES
    assert len(log.filter._lines) == MAX_LINES  # noqa: SLF001
