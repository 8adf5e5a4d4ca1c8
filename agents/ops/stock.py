"""Load goods into warehouses, on the cluster of the shop.

    python -m agents stock load FILE.csv [--skip-bad] [--yes]
    python -m agents stock load FILE.json [--yes]

A .csv has lines below the line `sku,warehouseID,count`. A .json is a list of objects such
as {"sku": 1, "warehouseID": 1, "count": 1}. Each line or object is one receiveStock.
Nothing is loaded unless all lines are valid. The idempotency key of a line consists of the
digest of the file and the line's number. So a file is loaded once, however often the
command runs within a day. A changed file is another file, and is loaded as a whole: put
skipped or refused lines into a file of their own.

Exit code: 0 all lines are loaded; 1 some are not; 2 wrong usage; 130 interrupted.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from agents.ops.requests import RequestOptions, request_options
from agents.ops.stock_file import StockFile, read
from agents.ops.stock_import import StockImport
from topics.cli import (
    FAILED,
    INTERRUPTED,
    OK,
    confirm,
    echo,
    echo_error,
    is_attended,
    on_cluster,
    paragraphs,
)
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.group(help=paragraphs(__doc__))
def stock() -> None:
    """Load goods into warehouses."""


@stock.command(help="Load the goods of a file into warehouses.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--skip-bad", is_flag=True, help="Load the valid lines of a file.")
@click.option("--yes", is_flag=True, help="Load without a confirmation.")
@request_options
@on_cluster("stock")
def load(
    target: Target, *, file: Path, skip_bad: bool, yes: bool, requests: RequestOptions
) -> int:
    """Load the lines of a file after a confirmation."""
    goods = read(file)
    for bad in goods.bad:
        echo_error(str(bad))
    if goods.bad and not skip_bad:
        echo_error(f"stock: bad lines: {len(goods.bad)}; nothing was loaded")
        return FAILED
    if goods.lines and not yes and not _is_confirmed(goods, target):
        echo_error("stock: nothing was loaded")
        return FAILED
    return import_file(goods, requests, target)


def _is_confirmed(file: StockFile, target: Target) -> bool:
    """Ask the person at the terminal; without a terminal a script has decided."""
    question = f"Load {len(file.lines)} lines into {target.cluster.kafka}?"
    return not is_attended() or confirm(question)


def import_file(file: StockFile, requests: RequestOptions, target: Target) -> int:
    """Send the lines of a file, print their outcomes, return the exit code."""
    cluster = target.cluster
    with click.progressbar(
        length=len(file.lines),
        file=sys.stderr,
        show_pos=True,
        hidden=not sys.stderr.isatty(),
        update_min_steps=max(1, len(file.lines) // 100),
    ) as bar:
        stock_import = StockImport(file, requests.timeout, bar.update)
        interrupted = asyncio.run(_run(stock_import, cluster, requests.replies))
    for line in report(file, stock_import, interrupted=interrupted):
        echo(line)
    if interrupted:
        return INTERRUPTED
    return OK if stock_import.is_complete and not file.bad else FAILED


async def _run(stock_import: StockImport, cluster: KafkaSettings, replies: str) -> bool:
    """Load; return whether a signal interrupted it."""
    loop = asyncio.get_running_loop()
    work = answered(cluster, partial(_load, stock_import, replies))
    task = asyncio.create_task(work)

    def stop() -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)  # the next signal ends the process
        task.cancel()

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop)
    await asyncio.wait([task])
    if not task.cancelled():
        _take_result(task, stock_import)
    return task.cancelled()


def _take_result(task: asyncio.Task[None], stock_import: StockImport) -> None:
    """Take the result; lines that were loaded before a broker's silence count."""
    try:
        task.result()
    except NoAnswerError as reason:
        if not stock_import.has_begun:
            raise
        stock_import.break_off(str(reason))


async def _load(stock_import: StockImport, replies: str, cluster: KafkaSettings) -> None:
    async with RequestReplyClient(cluster, replies) as client:
        await stock_import.run(client)


def report(
    file: StockFile, stock_import: StockImport, *, interrupted: bool
) -> Iterator[str]:
    """Yield the outcomes of lines that are not loaded, then totals."""
    for number, refused in sorted(stock_import.refused.items()):
        yield f"line {number}: refused, {refused}"
    for number in sorted(stock_import.unanswered):
        yield f"line {number}: unanswered"
    if stock_import.abort_reason:
        yield f"given up: {stock_import.abort_reason}"
    cut_short = interrupted or stock_import.is_broken_off
    totals = {
        "loaded": stock_import.loaded,
        "refused": len(stock_import.refused),
        "unanswered": len(stock_import.unanswered),
        "in flight or not sent" if cut_short else "not sent": stock_import.remaining,
        "bad and skipped": len(file.bad),
    }
    shown = [f"{count} {name}" for name, count in totals.items() if count]
    yield f"{'interrupted: ' if interrupted else ''}{', '.join(shown) or 'nothing to load'}"
    if stock_import.unanswered or stock_import.remaining:
        yield "run the command again to load the rest: no line is loaded twice"
