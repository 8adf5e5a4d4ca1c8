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
from agents.ops.local.native import processes
from topics import cli
from topics.kafka.reader import TopicReader
from topics.running_shop import run_directory, running_shop
from topics.target import Target
from topics.topology import GROUPS, SERVICES

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_NONE = "-"
_HEAD = ("TOPIC", "PARTITION", "OWNER", "COMMITTED", "END", "LAG", "OLDEST", "RECOVERING")
_ALIGNMENTS = "<><>>>><"
_OLDEST = "kafka_consumer_oldest_batch_seconds"
_RECOVERING = "recovery_in_progress"
_PENDING = "notices_pending"
_PENDING_AGE = "notices_oldest_pending_seconds"
_UP = "notices_transport_up"


@dataclass
class WorkerMetrics:
    """The part of a worker's metrics that is shown.

    Attributes:
        oldest: the age of the oldest batch in flight, by topic and partition; 0: none.
        transports: values of the notifications' gauges, by transport and gauge.
    """

    recovering: bool = False
    oldest: dict[tuple[str, int], float] = field(default_factory=dict)
    transports: dict[str, dict[str, float]] = field(default_factory=dict)


class PartitionStatus(NamedTuple):
    """What Kafka holds about a partition.

    Attributes:
        owner: name@host of the member; None: there is none.
        committed: None: the group has committed no offset.
    """

    tp: TopicPartition
    owner: str | None
    committed: int | None
    end: int
    lag: int

    def cells(self, workers: Mapping[str, WorkerMetrics]) -> tuple[str, ...]:
        """Return the cells of the table, with the metrics of the owner."""
        metrics = workers.get((self.owner or "").partition("@")[0])
        age = metrics and metrics.oldest.get((self.tp.topic, self.tp.partition))
        return (
            self.tp.topic,
            str(self.tp.partition),
            self.owner or _NONE,
            _NONE if self.committed is None else str(self.committed),
            str(self.end),
            str(self.lag),
            _NONE if age is None else f"{age:.0f} s",
            _NONE if metrics is None else "yes" if metrics.recovering else "no",
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


def table(
    partitions: Iterable[PartitionStatus], workers: Mapping[str, WorkerMetrics]
) -> Iterator[str]:
    """Yield an aligned line for each partition, below a line of heads."""
    cells = (partition.cells(workers) for partition in partitions)
    return cli.table([_HEAD, *cells], _ALIGNMENTS)


def transports(workers: Mapping[str, WorkerMetrics]) -> Iterator[str]:
    """Yield a line for each transport of the notifications."""
    for worker, metrics in workers.items():
        for name, gauges in sorted(metrics.transports.items()):
            up = "up" if gauges.get(_UP, 1) else "down"
            pending, age = gauges.get(_PENDING, 0), gauges.get(_PENDING_AGE, 0)
            yield f"{worker}: {name} {up}, {pending:.0f} pending, oldest {age:.0f} s"


async def _read(reader: TopicReader) -> tuple[dict[str, str], list[PartitionStatus]]:
    """Return the state of each group, and the status of each consumed partition."""
    states: dict[str, str] = {}
    owners: dict[TopicPartition, str] = {}
    for service in SERVICES:
        states[service.name], owned = await reader.owners(service.name)
        owners |= owned
    committed = await reader.committed(GROUPS)
    partitions = []
    for tp, held in (await reader.offset_ranges(await reader.partitions(GROUPS))).items():
        offset = committed.get(tp)
        lag = max(0, held.end - max(held.begin, offset or 0))
        partitions.append(PartitionStatus(tp, owners.get(tp), offset, held.end, lag))
    return states, sorted(partitions)


def _urls_of_running_shop(kafka: str) -> dict[str, str]:
    shop = running_shop(run_directory())
    saved = deployment.load(shop.directory) if shop and shop.kafka == kafka else None
    return metrics_urls(saved[0]) if saved else {}


def metrics_urls(shop: deployment.Deployment) -> dict[str, str]:
    """Return the address of the metrics of each worker, by the worker's name."""
    return {
        process.name: f"http://127.0.0.1:{port}/metrics"
        for process in processes(shop)
        if (port := process.environment.get("METRICS_PORT", "0")) != "0"
    }


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


def _worker_url(text: str) -> tuple[str, str]:
    worker, found, url = text.partition("=")
    if not (worker and found and url.startswith(("http://", "https://"))):
        raise ValueError
    return worker, url


@click.command(help=cli.paragraphs(__doc__))
@click.option(
    "--metrics",
    multiple=True,
    type=cli.parsed(_worker_url, "WORKER=URL"),
    metavar="WORKER=URL",
    help="Metrics of a worker by its name (WORKER); may be repeated.",
)
@cli.on_cluster("status")
def status(target: Target, *, metrics: list[tuple[str, str]]) -> int:
    """Print the table, the transports, and the groups without a member."""
    urls = dict(metrics) or _urls_of_running_shop(target.cluster.kafka)
    states, partitions = cli.read(target, _read)
    workers = asyncio.run(_scrape(urls))
    groups = {topic.name: group for topic, group in GROUPS.items()}
    orphans = {groups[each.tp.topic] for each in partitions if each.owner is None}
    cli.echo(
        *table(partitions, workers),
        *transports(workers),
        *(
            f"partitions without an owner: the group {group} is {states[group]}"
            for group in sorted(orphans)
        ),
    )
    return cli.FAILED if orphans else cli.OK
