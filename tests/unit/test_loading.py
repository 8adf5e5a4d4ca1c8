"""What whoever loads stock is told, while it lasts and in the end."""

import io
from datetime import timedelta

import pytest

from agents.ops import stock
from agents.ops.requests import RefusedReply, RequestOptions
from agents.ops.stock import report
from agents.ops.stock_file import BadLine, StockFile, StockLine
from agents.ops.stock_import import StockImport
from schemas.stock import ReceiveStock
from topics.target import Target

GOODS = ReceiveStock(sku=1, warehouse_id=1, count=1)
NO = RefusedReply("count-too-large", "it is full")
AGAIN = "run the command again to load the rest: no line is loaded twice"


class Terminal(io.StringIO):
    """Somewhere that somebody looks at."""

    def isatty(self) -> bool:
        return True


def told(
    lines: int, *, bad: int = 0, interrupted: bool = False, **known: object
) -> list[str]:
    """What is told of so many lines, of which this is known in the end."""
    delivery = StockFile("digest", [StockLine(n, GOODS) for n in range(2, lines + 2)], [])
    delivery.bad.extend(BadLine(n, "it is bad") for n in range(bad))
    loading = StockImport(delivery, timedelta(seconds=1), lambda _: None)
    for name, value in known.items():
        setattr(loading, name, value)
    return list(report(delivery, loading, interrupted=interrupted))


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [
        (["3 loaded"], told(3, loaded=3)),
        (["nothing to load"], told(0)),
        (["3 loaded, 2 bad and skipped"], told(3, loaded=3, bad=2)),
        (
            ["line 3: refused, count-too-large (it is full)", "2 loaded, 1 refused"],
            told(3, loaded=2, refused={3: NO}),
        ),
        (
            ["line 2: unanswered", "line 4: unanswered", "1 loaded, 2 unanswered", AGAIN],
            told(3, loaded=1, unanswered=[4, 2]),
        ),
        (
            ["line 2: unanswered", "given up: why", "1 unanswered, 2 not sent", AGAIN],
            told(3, unanswered=[2], abort_reason="why"),
        ),
        (
            ["interrupted: 1 loaded, 2 in flight or not sent", AGAIN],
            told(3, loaded=1, interrupted=True),
        ),
    ],
)
def test_what_became_of_the_lines_is_told_the_sum_last(
    wanted: list[str], outcome: list[str]
):
    assert outcome == wanted


@pytest.fixture
def all_loaded(monkeypatch: pytest.MonkeyPatch) -> StockFile:
    """A file of a thousand lines, each loaded at once."""

    async def load(loading: StockImport, *_: object) -> bool:
        for _ in range(1000):
            loading.loaded += 1
            loading.advance(1)
        return False

    monkeypatch.setenv("KAFKA", "127.0.0.1:1")
    monkeypatch.setattr(stock, "_run", load)
    return StockFile("digest", [StockLine(n, GOODS) for n in range(1000)], [])


def shown_while(loaded: StockFile, out: io.StringIO, monkeypatch) -> str:
    monkeypatch.setattr("sys.stderr", out)
    options = RequestOptions("mine.replies", timedelta(seconds=1))
    target = Target("stock", io.StringIO())
    assert stock.import_file(loaded, options, target) == 0
    return out.getvalue()


def test_the_bar_is_drawn_anew_for_each_percent(
    all_loaded: StockFile, monkeypatch: pytest.MonkeyPatch
):
    drawn = shown_while(all_loaded, Terminal(), monkeypatch).split("\r")
    assert 90 <= len([line for line in drawn if "/1000" in line]) <= 102
    assert any(" 500/1000" in line for line in drawn)
    assert " 1000/1000" in drawn[-1]


def test_there_is_no_bar_where_nobody_looks(
    all_loaded: StockFile, monkeypatch: pytest.MonkeyPatch
):
    assert shown_while(all_loaded, io.StringIO(), monkeypatch) == ""
