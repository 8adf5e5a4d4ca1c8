"""Put goods into warehouses, on the cluster of the shop.

    python -m agents stock load FILE.csv [--skip-bad] [--yes]
    python -m agents stock load FILE.json [--yes]

A line of a .csv, below the line `sku,warehouseID,count`, or an object of a .json, a list of
{"sku": 1, "warehouseID": 1, "count": 1}, is one receiveStock. Nothing is loaded unless
every line is valid. Each has an idempotency key made of the file's content and the line's
number: the same file is loaded once, however often it is run (stock remembers it for a
day). A file that was changed is another one, and is loaded as a whole: put the lines that
were skipped or refused into a file of their own.

Exit code: 0 all lines are loaded; 1 some are not; 2 wrong usage; 130 interrupted.
"""

import argparse
import asyncio
import signal
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from agents.ops.bar import Bar
from agents.ops.cli import (
    FAILED,
    INTERRUPTED,
    OK,
    echo,
    echo_error,
    run,
)
from agents.ops.options import add_caller, parser_of
from agents.ops.stock_file import StockFile, read
from agents.ops.stock_import import StockImport
from topics.kafka.answering import NoAnswerError, answered
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.terminal import ask, is_attended

_STOPS = (signal.SIGINT, signal.SIGTERM)


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    asked = _parser().parse_args(words)
    return run("stock", partial(_load, asked))


def _load(asked: argparse.Namespace, target: Target) -> int:
    delivery = read(asked.file)
    for bad in delivery.bad:
        echo_error(str(bad))
    if delivery.bad and not asked.skip_bad:
        echo_error(f"stock: bad lines: {len(delivery.bad)}; nothing was loaded")
        return FAILED
    if delivery.lines and not asked.yes and not _is_agreed(delivery, target):
        echo_error("stock: nothing was loaded")
        return FAILED
    return _send(delivery, asked, target)


def _is_agreed(delivery: StockFile, target: Target) -> bool:
    """Ask the person at the terminal; without one a script has decided already."""
    question = f"Load {len(delivery.lines)} lines into {target.cluster.kafka}?"
    return not is_attended() or ask(question)


def _send(delivery: StockFile, asked: argparse.Namespace, target: Target) -> int:
    bar = Bar(len(delivery.lines))
    loading = StockImport(delivery, timedelta(seconds=asked.patience), bar)
    interrupted = asyncio.run(_run(loading, target.cluster, asked.replies))
    bar.clear()
    for line in report(delivery, loading, interrupted=interrupted):
        echo(line)
    if interrupted:
        return INTERRUPTED
    return OK if loading.is_complete and not delivery.bad else FAILED


async def _run(loading: StockImport, cluster: KafkaSettings, replies: str) -> bool:
    """Load; return whether it was interrupted."""
    loop = asyncio.get_running_loop()
    work = answered(cluster, partial(_converse, loading, replies))
    task = asyncio.create_task(work)

    def stop() -> None:
        for each in _STOPS:
            loop.remove_signal_handler(each)  # the next one ends it at once
        task.cancel()

    for each in _STOPS:
        loop.add_signal_handler(each, stop)
    await asyncio.wait([task])
    if not task.cancelled():
        _take(task, loading)
    return task.cancelled()


def _take(task: asyncio.Task[None], loading: StockImport) -> None:
    """Take the result of a task; what was loaded before a broker fell silent counts."""
    try:
        task.result()
    except NoAnswerError as reason:
        if not loading.has_begun:
            raise
        loading.break_off(str(reason))


async def _converse(loading: StockImport, replies: str, cluster: KafkaSettings) -> None:
    async with RequestReplyClient(cluster, replies) as caller:
        await loading.run(caller)


def report(
    delivery: StockFile, loading: StockImport, *, interrupted: bool
) -> Iterator[str]:
    """Yield what became of a delivery's lines, and the sum of it."""
    for number, no in sorted(loading.refused.items()):
        yield f"line {number}: refused, {no}"
    for number in sorted(loading.unanswered):
        yield f"line {number}: unanswered"
    if loading.abort_reason:
        yield f"given up: {loading.abort_reason}"
    cut_short = interrupted or loading.is_broken_off
    counts = {
        "loaded": loading.loaded,
        "refused": len(loading.refused),
        "unanswered": len(loading.unanswered),
        "under way or not sent" if cut_short else "not sent": loading.remaining,
        "bad and skipped": len(delivery.bad),
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    yield f"{'interrupted: ' if interrupted else ''}{', '.join(told) or 'nothing to load'}"
    if loading.unanswered or loading.remaining:
        yield "to load the rest run it again: what is loaded is not loaded twice"


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("stock", __doc__)
    verbs = parser.add_subparsers(required=True, metavar="load")
    load = verbs.add_parser("load", help="put the goods of a file into warehouses")
    load.add_argument("file", type=Path, metavar="FILE", help="ends in .csv or .json")
    skip = "load the others where lines are bad"
    load.add_argument("--skip-bad", action="store_true", help=skip)
    yes = "ask nobody whether he is sure"
    load.add_argument("--yes", action="store_true", help=yes)
    add_caller(load)
    return parser
