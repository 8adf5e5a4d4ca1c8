"""Load stock into warehouses, on the cluster of the shop.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import click
from aiokafka.errors import KafkaError

from agents.ops import requests
from agents.ops.requests import RefusedReply, RequestOptions
from agents.ops.stock_file import StockFile, read
from schemas.stock import ReceiveStock
from topics import cli
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.liveness import NotRespondingError
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.target import Target

MAX_IN_FLIGHT = 256


@click.group(help=cli.paragraphs(__doc__))
def stock() -> None:
    """Load stock into warehouses."""


@stock.command(help="Load the stock of a file into warehouses.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--skip-bad", is_flag=True, help="Load the valid lines of a file.")
@click.option("--yes", is_flag=True, help="Load without a confirmation.")
@requests.request_options
@cli.on_cluster("stock")
def load(
    target: Target, *, file: Path, skip_bad: bool, yes: bool, options: RequestOptions
) -> int:
    """Load the lines of a file after a confirmation; without a terminal it needs none."""
    stock_file = read(file)
    cli.echo_error(*stock_file.bad)
    if stock_file.bad and not skip_bad:
        raise cli.CommandError(f"bad lines: {len(stock_file.bad)}; nothing was loaded")
    if stock_file.lines and not yes and cli.is_attended():
        lines, kafka = len(stock_file.lines), target.cluster.kafka
        if not cli.confirm(f"Load {lines} lines into {kafka}?"):
            raise cli.CommandError("nothing was loaded")
    return import_file(stock_file, options, target)


def import_file(file: StockFile, options: RequestOptions, target: Target) -> int:
    """Send the lines of a file, print their outcomes, return the exit code."""
    with click.progressbar(
        length=len(file.lines),
        file=sys.stderr,
        show_pos=True,
        hidden=not sys.stderr.isatty(),
        update_min_steps=max(1, len(file.lines) // 100),
    ) as bar:
        stock_import = StockImport(file, options, bar.update)
        stock_import.run(target)
    cli.echo(*stock_import.report())
    if stock_import.is_interrupted:
        return cli.INTERRUPTED
    return cli.OK if stock_import.loaded == len(file.lines) and not file.bad else cli.FAILED


@dataclass
class StockImport:
    """Sends the lines of a stock file: many requests in flight, each until its reply.

    Attributes:
        advance: is called with 1 for each line with an outcome.
        sent: the number of lines that were sent, or are about to be.
        failed: the refusal of a line, by its number; None: no reply.
        abort_reason: why no more lines are sent; empty while they are.
    """

    file: StockFile
    options: RequestOptions
    advance: Callable[[int], None]
    sent: int = 0
    loaded: int = 0
    failed: dict[int, RefusedReply | None] = field(default_factory=dict)
    abort_reason: str = ""
    is_interrupted: bool = False
    _last_reply: float = 0.0

    def run(self, target: Target) -> None:
        """Send all lines, until replies stop, or until SIGINT or SIGTERM.

        Raises:
            NotRespondingError: no broker responded before the first line was sent.
        """
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            cli.answer(target, self._send)
        except KeyboardInterrupt:
            self.is_interrupted = True
        except (NotRespondingError, asyncio.CancelledError) as error:
            if not self.sent:
                raise
            # Lines that were loaded before a broker's silence count.
            self.abort_reason = str(error) or "Kafka does not answer any more"

    async def _send(self, cluster: KafkaSettings) -> None:
        lines = iter(self.file.lines.items())
        async with (
            RequestReplyClient(cluster, self.options.replies) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(min(MAX_IN_FLIGHT, len(self.file.lines))):
                group.create_task(self._send_lines(lines, client))

    async def _send_lines(
        self, lines: Iterator[tuple[int, ReceiveStock]], client: RequestReplyClient
    ) -> None:
        seconds = self.options.timeout.total_seconds()
        for number, request in lines:
            self.sent += 1
            began = monotonic()
            record = requests.record_of(request, (IDEMPOTENCY_KEY, self.file.key(number)))
            try:
                async with asyncio.timeout(seconds), client.request(record) as (_, pending):
                    refused = requests.refusal(await pending.reply)
            except (KafkaError, TimeoutError) as error:
                self.failed[number] = None
                if self._last_reply < began:
                    self.abort_reason = str(error) or f"no answer in {seconds:g} s"
            else:
                self._last_reply = monotonic()
                if refused:
                    self.failed[number] = refused
                else:
                    self.loaded += 1
            self.advance(1)
            if self.abort_reason:
                return

    def report(self) -> Iterator[str]:
        """Yield the outcomes of lines that are not loaded, then totals."""
        for number in sorted(self.failed):
            refused = self.failed[number]
            yield f"line {number}: {f'refused, {refused}' if refused else 'unanswered'}"
        if self.abort_reason:
            yield f"given up: {self.abort_reason}"
        unanswered = [*self.failed.values()].count(None)
        known = self.loaded + len(self.failed)
        remaining = len(self.file.lines) - known
        totals = {
            "loaded": self.loaded,
            "refused": len(self.failed) - unanswered,
            "unanswered": unanswered,
            "in flight or not sent" if self.sent > known else "not sent": remaining,
            "bad and skipped": len(self.file.bad),
        }
        shown = [f"{count} {name}" for name, count in totals.items() if count]
        interrupted = "interrupted: " if self.is_interrupted else ""
        yield f"{interrupted}{', '.join(shown) or 'nothing to load'}"
        if unanswered or remaining:
            yield "run the command again to load the rest: no line is loaded twice"
