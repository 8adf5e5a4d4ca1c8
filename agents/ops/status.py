"""Show each partition's owner, lag, oldest batch and recovery.

    python -m agents status [--metrics WORKER=URL ...]

Owners, offsets and lags come from Kafka. The oldest batch and the recovery come from the
workers' metrics: those of the shop that runs here, or the given ones; `-`: not reached.

Exit code: 0 each partition has an owner; 1 not; 2 wrong usage; 130 interrupted.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
import click
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families as families

from agents.ops.local import deployment
from topics.cli import FAILED, OK, answer, echo, on_cluster, paragraphs
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.running_shop import run_directory, running_shop
from topics.target import Target
from topics.topology import GROUPS, SERVICES

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_NONE = "-"
_HEAD = ("TOPIC", "PARTITION", "OWNER", "COMMITTED", "END", "LAG", "OLDEST", "RECOVERING")
_NUMBERS = frozenset({"PARTITION", "COMMITTED", "END", "LAG", "OLDEST"})
_OLDEST = "kafka_consumer_oldest_batch_seconds"
_RECOVERING = "recovery_in_progress"
_PENDING = "notices_pending"
_PENDING_AGE = "notices_oldest_pending_seconds"
_UP = "notices_transport_up"


@dataclass
class WorkerMetrics:
    """The part of a worker's metrics that is shown.

    Attributes:
        oldest: the age of the oldest batch in flight, by topic and partition.
        transports: values of the notifications' gauges, by transport and gauge.
    """

    recovering: bool = False
    oldest: dict[tuple[str, int], float] = field(default_factory=dict)
    transports: dict[str, dict[str, float]] = field(default_factory=dict)


class PartitionStatus(NamedTuple):
    """A line of the table; None: unknown.

    Attributes:
        owner: name@host of the member.
        oldest: the seconds since the oldest batch in flight was read; 0: there is none.
    """

    tp: TopicPartition
    owner: str | None
    committed: int | None
    end: int
    lag: int
    oldest: float | None = None
    recovering: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            self.tp.topic,
            str(self.tp.partition),
            self.owner or _NONE,
            _cell(self.committed),
            str(self.end),
            str(self.lag),
            _NONE if self.oldest is None else f"{self.oldest:.0f} s",
            _NONE if self.recovering is None else "yes" if self.recovering else "no",
        )


def parse_metrics(text: str) -> WorkerMetrics:
    """Read a worker's metrics."""
    found = WorkerMetrics()
    for sample in (sample for family in families(text) for sample in family.samples):
        labels = sample.labels
        if sample.name == _RECOVERING:
            found.recovering = bool(sample.value)
        elif sample.name == _OLDEST:
            found.oldest[labels["topic"], int(labels["partition"])] = sample.value
        elif sample.name in (_PENDING, _PENDING_AGE, _UP):
            gauges = found.transports.setdefault(labels["transport"], {})
            gauges[sample.name] = sample.value
    return found


def table(lines: Iterable[PartitionStatus]) -> Iterator[str]:
    """Yield the lines of a table for people."""
    rows = [_HEAD, *(line.cells() for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def transports(workers: Mapping[str, WorkerMetrics]) -> Iterator[str]:
    """Yield a line for each transport of the notifications."""
    for worker, metrics in workers.items():
        for name, gauges in sorted(metrics.transports.items()):
            up = "up" if gauges.get(_UP, 1) else "down"
            pending, age = gauges.get(_PENDING, 0), gauges.get(_PENDING_AGE, 0)
            yield f"{worker}: {name} {up}, {pending:.0f} pending, oldest {age:.0f} s"


def observed(
    line: PartitionStatus, workers: Mapping[str, WorkerMetrics]
) -> PartitionStatus:
    """Add what the metrics of the partition's owner tell."""
    metrics = workers.get((line.owner or "").partition("@")[0])
    if metrics is None:
        return line
    age = metrics.oldest.get((line.tp.topic, line.tp.partition))
    return line._replace(oldest=age, recovering=metrics.recovering)


def _groups(tp: TopicPartition, states: Mapping[str, str]) -> Iterator[str]:
    for topic, group in GROUPS.items():
        if topic.name == tp.topic:
            yield f"partitions without an owner: the group {group} is {states[group]}"


async def _read(cluster: KafkaSettings) -> tuple[dict[str, str], list[PartitionStatus]]:
    """Return the state of each group, and a line for each consumed partition."""
    states: dict[str, str] = {}
    owners: dict[TopicPartition, str] = {}
    async with TopicReader(cluster) as reader:
        for service in SERVICES:
            states[service.name], owned = await reader.owners(service.name)
            owners |= owned
        committed = await reader.committed(GROUPS)
        ranges = await reader.offset_ranges(await reader.partitions(GROUPS))
    lines = []
    for tp, (begin, end) in ((tp, (r.begin, r.end)) for tp, r in ranges.items()):
        offset = committed.get(tp)
        lag = max(0, end - max(begin, offset or 0))
        lines.append(PartitionStatus(tp, owners.get(tp), offset, end, lag))
    return states, sorted(lines)


def _urls_of_running_shop(cluster: KafkaSettings) -> dict[str, str]:
    shop = running_shop(run_directory())
    if shop is None or shop.kafka != cluster.kafka:
        return {}
    saved = deployment.load(shop.directory)
    return dict(_urls(saved[0])) if saved else {}


def _urls(shop: deployment.Deployment) -> Iterator[tuple[str, str]]:
    numbers = {"checkout": shop.checkout_workers, "loms": shop.loms_workers}
    for service in SERVICES:
        for index in range(numbers.get(service.name, 1)):
            if port := shop.metrics_port_of(service.name, index):
                url = f"http://127.0.0.1:{port}/metrics"
                yield f"{service.name}-{index + 1}", url


async def _scrape(urls: Mapping[str, str]) -> dict[str, WorkerMetrics]:
    """Return the metrics of each worker that answers."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        found = await asyncio.gather(*(_fetch(session, url) for url in urls.values()))
    named = zip(urls, found, strict=True)
    return {name: metrics for name, metrics in named if metrics is not None}


async def _fetch(session: aiohttp.ClientSession, url: str) -> WorkerMetrics | None:
    try:
        async with session.get(url) as response:
            response.raise_for_status()
            return parse_metrics(await response.text())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def _cell(number: int | None) -> str:
    return _NONE if number is None else str(number)


def _worker_urls(
    _ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]
) -> dict[str, str]:
    urls: dict[str, str] = {}
    for word in words:
        worker, found, url = word.partition("=")
        if not (worker and found and url.startswith(("http://", "https://"))):
            raise click.BadParameter(f"{word!r} is not WORKER=URL")
        urls[worker] = url
    return urls


@click.command(help=paragraphs(__doc__))
@click.option(
    "--metrics",
    multiple=True,
    callback=_worker_urls,
    metavar="WORKER=URL",
    help="Metrics of a worker by its name (WORKER); may be repeated.",
)
@on_cluster("status")
def status(target: Target, *, metrics: dict[str, str]) -> int:
    """Print the table, the transports, and the groups without a member."""
    urls = metrics or _urls_of_running_shop(target.cluster)
    states, lines = answer(target, _read)
    workers = asyncio.run(_scrape(urls))
    for text in table(observed(line, workers) for line in lines):
        echo(text)
    for text in transports(workers):
        echo(text)
    orphans = [line.tp for line in lines if line.owner is None]
    for group in sorted({state for tp in orphans for state in _groups(tp, states)}):
        echo(group)
    return FAILED if orphans else OK
