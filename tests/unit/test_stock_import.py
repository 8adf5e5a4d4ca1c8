"""The import of a stock file: its progress bar, and the report at its end."""

import io
from datetime import timedelta

import pytest

from agents.ops import stock
from agents.ops.requests import RefusedReply, RequestOptions
from agents.ops.stock import StockImport
from agents.ops.stock_file import StockFile
from schemas.stock import ReceiveStock
from topics.target import Target

GOODS = ReceiveStock(sku=1, warehouse_id=1, count=1)
NO = RefusedReply("count-too-large", "it is full")
AGAIN = "run the command again to load the rest: no line is loaded twice"
OPTIONS = RequestOptions("mine.replies", timedelta(seconds=1))


class Terminal(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


def report(lines: int, *, bad: int = 0, **state: object) -> list[str]:
    """The report about a file of so many lines, in this state."""
    file = StockFile(
        "digest", dict.fromkeys(range(2, lines + 2), GOODS), ["it is bad"] * bad
    )
    return list(StockImport(file, OPTIONS, lambda _: None, **state).report())


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (["3 loaded"], report(3, loaded=3)),
        (["nothing to load"], report(0)),
        (["3 loaded, 2 bad and skipped"], report(3, loaded=3, bad=2)),
        (
            ["line 3: refused, count-too-large (it is full)", "2 loaded, 1 refused"],
            report(3, loaded=2, failed={3: NO}),
        ),
        (
            ["line 2: unanswered", "line 4: unanswered", "1 loaded, 2 unanswered", AGAIN],
            report(3, loaded=1, failed={4: None, 2: None}),
        ),
        (
            ["line 2: unanswered", "given up: why", "1 unanswered, 2 not sent", AGAIN],
            report(3, sent=1, failed={2: None}, abort_reason="why"),
        ),
        (
            ["given up: why", "1 loaded, 2 in flight or not sent", AGAIN],
            report(3, sent=2, loaded=1, abort_reason="why"),
        ),
        (
            ["interrupted: 1 loaded, 2 in flight or not sent", AGAIN],
            report(3, sent=3, loaded=1, is_interrupted=True),
        ),
    ],
)
def test_the_report_has_each_line_that_is_not_loaded_then_totals(
    wanted: list[str], lines: list[str]
):
    assert lines == wanted


@pytest.fixture
def all_loaded(monkeypatch: pytest.MonkeyPatch) -> StockFile:
    """A file of a thousand lines, each loaded at once."""

    def run(self: StockImport, _: Target) -> None:
        for _ in range(1000):
            self.loaded += 1
            self.advance(1)

    monkeypatch.setattr(StockImport, "run", run)
    return StockFile("digest", dict.fromkeys(range(1000), GOODS))


def progress(file: StockFile, out: io.StringIO, monkeypatch) -> str:
    """The text on standard error while a file is loaded."""
    monkeypatch.setattr("sys.stderr", out)
    assert stock.import_file(file, OPTIONS, Target("stock")) == 0
    return out.getvalue()


def test_the_bar_is_drawn_once_for_each_percent(
    all_loaded: StockFile, monkeypatch: pytest.MonkeyPatch
):
    drawn = progress(all_loaded, Terminal(), monkeypatch).split("\r")
    assert 90 <= len([line for line in drawn if "/1000" in line]) <= 102
    assert any(" 500/1000" in line for line in drawn)
    assert " 1000/1000" in drawn[-1]


def test_there_is_no_bar_without_a_terminal(
    all_loaded: StockFile, monkeypatch: pytest.MonkeyPatch
):
    assert progress(all_loaded, io.StringIO(), monkeypatch) == ""
