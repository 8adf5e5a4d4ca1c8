"""What whoever loads stock is told, while it lasts and in the end."""

import io
from datetime import timedelta

import pytest

from agents.ops.bar import Bar
from agents.ops.replies import RefusedReply
from agents.ops.stock import report
from agents.ops.stock_file import BadLine, StockFile, StockLine
from agents.ops.stock_import import StockImport
from schemas.stock import ReceiveStock

GOODS = ReceiveStock(sku=1, warehouse_id=1, count=1)
NO = RefusedReply("count-too-large", "it is full")
AGAIN = "to load the rest run it again: what is loaded is not loaded twice"


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
    loading = StockImport(delivery, timedelta(seconds=1), Bar(lines, io.StringIO()))
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
            ["interrupted: 1 loaded, 2 under way or not sent", AGAIN],
            told(3, loaded=1, interrupted=True),
        ),
    ],
)
def test_what_became_of_the_lines_is_told_the_sum_last(
    wanted: list[str], outcome: list[str]
):
    assert outcome == wanted


def test_the_bar_is_drawn_anew_for_each_percent_and_then_wiped_off():
    terminal = Terminal()
    bar = Bar(1000, terminal)
    for done in range(1001):
        bar.show(done)
    drawn = terminal.getvalue().split("\r")[1:]
    assert len(drawn) == 101
    assert drawn[50] == f"[{'#' * 20:<40}]  50 %  500/1000"
    assert len({line.index("]") for line in drawn}) == 1
    bar.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_there_is_no_bar_where_nobody_looks_or_nothing_is_to_be_done(out: io.StringIO):
    bar = Bar(0 if out.isatty() else 10, out)
    bar.show(0)
    bar.clear()
    assert not out.getvalue()
