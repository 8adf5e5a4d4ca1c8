"""Lines that are logged of a repeated warning, by a clock that the test sets."""

import logging
import threading
from collections.abc import Callable

import pytest

from topics.telemetry import logging as limited
from topics.telemetry.logging import MAX_LINES, MAX_OBJECTS, RepeatFilter

TIMEOUT = "event=timeout path=%s correlation=%s"


class Log(logging.Handler):
    """Keeps the lines that it writes, by a clock that the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self.now = 0.0
        self.lines: list[str] = []
        self._due: list[tuple[float, Callable[[], None]]] = []
        self.limit = RepeatFilter(self, lambda: self.now, self._later)
        self.addFilter(self.limit)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).partition("\n")[0])

    def write(self, template: object, *words: object, **different: object) -> None:
        fields = {"name": "gateway.app", "level": logging.WARNING} | different
        self.handle(
            logging.LogRecord(
                pathname="", lineno=1, msg=template, args=words, exc_info=None, **fields
            )
        )

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds
        due = [do for at, do in self._due if at <= self.now]
        self._due = [(at, do) for at, do in self._due if at > self.now]
        for do in due:
            do()

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._due.append((self.now + seconds, do))

    def fail(self, raising: Callable[[], object]) -> None:
        record = logging.LogRecord(
            "gateway.server", logging.ERROR, "", 1, "event=unexpected", (), None
        )
        try:
            raising()
        except (ValueError, KeyError) as error:
            record.exc_info = (type(error), error, error.__traceback__)
        self.handle(record)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_line_that_repeats_is_written_once_a_minute_with_the_count(log: Log):
    for n in range(1000):
        log.write(TIMEOUT, "/stocks", f"100%s-{n}")
        log.wait(0.125)
    assert log.lines == [
        "event=timeout path=/stocks correlation=100%s-0",
        "event=timeout path=/stocks correlation=100%s-479 suppressed=478",
        "event=timeout path=/stocks correlation=100%s-959 suppressed=479",
    ]


def test_suppressed_lines_are_counted_also_if_none_follows(log: Log):
    for n in range(200):
        log.write(TIMEOUT, "/stocks", n)
    log.wait(59.9)
    assert log.lines == ["event=timeout path=/stocks correlation=0"]
    log.wait(0.1)
    assert log.lines[1:] == ["event=timeout path=/stocks correlation=199 suppressed=198"]
    log.wait(600.0)
    log.write(TIMEOUT, "/stocks", 200)
    assert log.lines[2:] == ["event=timeout path=/stocks correlation=200"]


def test_a_second_line_is_written_as_it_is_though_late(log: Log):
    for n in range(2):
        log.write(TIMEOUT, "/stocks", n)
    log.wait(60.0)
    assert log.lines == [f"event=timeout path=/stocks correlation={n}" for n in range(2)]


def test_a_line_that_comes_once_in_a_while_is_written_at_once(log: Log):
    for n in range(3):
        log.write(TIMEOUT, "/stocks", n)
        assert log.lines[n:] == [f"event=timeout path=/stocks correlation={n}"]
        log.wait(60.0)


def test_each_logger_and_each_text_is_counted_on_its_own(log: Log):
    log.write(TIMEOUT, "/stocks", 1)
    log.write("event=draining")
    log.write(TIMEOUT, "/stocks", 1, name="other")
    assert len(log.lines) == 3


def test_lines_about_two_objects_do_not_hide_each_other(log: Log):
    for path in ("/stocks", "/checkout") * 3:
        log.write(TIMEOUT, path, 1)
    log.wait(60)
    assert log.lines == [
        f"event=timeout path={path} correlation=1{suppressed}"
        for suppressed in ("", " suppressed=1")
        for path in ("/stocks", "/checkout")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "event=batch-slow topic=order.requests partition=%d offset=7 seconds=11",
        "event=rows-discarded partition=TopicPartition(topic='a', partition=%d)",
        "event=local-state-discarded path=state/loms-%d/orders reason='absent'",
        'event=delivery-failed transport=webhook-%d id="1:paid" reason=503',
    ],
)
def test_each_object_of_a_line_is_logged(log: Log, text: str):
    for n in range(3):
        log.write(text, n)
    assert log.lines == [text % n for n in range(3)]


def test_the_objects_of_a_line_are_limited(log: Log):
    for n in range(5 * MAX_OBJECTS):
        log.write("event=timeout path=%s", f"/{n}")
    assert len(log.lines) == MAX_OBJECTS + 1


def test_topics_that_clients_name_are_no_objects(log: Log):
    for n in range(5):
        log.write("event=replies-dropped topic=%s reason=no-such-topic", f"c{n}.replies")
    assert len(log.lines) == 1


def test_lines_of_libraries_are_not_searched_for_objects(log: Log):
    for n in range(3):
        log.write("no leader for partition=%s", n)
    assert len(log.lines) == 1


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
def test_information_and_critical_lines_are_not_limited(log: Log, level: int):
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
    assert log.lines == ["event=unexpected"] * 3


def test_lines_of_outages_have_their_own_limit(log: Log):
    for broker in range(3):
        log.write(
            "event=kafka-unreachable broker=%s", broker, name="topics.kafka.connection"
        )
    assert len(log.lines) == 3


def test_the_number_of_counted_texts_is_limited(log: Log):
    for n in range(2 * MAX_LINES):
        log.write(f"a text of its own {n}")
    assert len(log.lines) == 2 * MAX_LINES
    assert len(log.limit._lines) == MAX_LINES  # noqa: SLF001


def test_a_timer_writes_the_last_line_of_a_minute(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limited, "_SECONDS", 0.05)
    written = threading.Event()
    log = Log()
    log.filters = [RepeatFilter(log)]
    monkeypatch.setattr(log, "emit", lambda record: written.set())
    log.write(TIMEOUT, "/stocks", 0)
    written.clear()
    log.write(TIMEOUT, "/stocks", 1)
    assert written.wait(30)
