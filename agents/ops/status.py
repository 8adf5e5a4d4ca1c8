"""Show each partition's owner, lag, oldest batch and recovery.

    python -m agents status [--metrics WORKER=URL ...]

Owners, offsets and lags come from Kafka. The oldest batch and the recovery come from the
workers' metrics: those of the shop that runs here, or the given ones; `-`: not reached.

Exit code: 0 each partition has an owner; 1 not; 2 wrong usage; 130 interrupted.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import starmap
from typing import NamedTuple

import aiohttp
import click
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families as families

from agents.ops.local import deployment
from agents.ops.local.native import processes
from topics import cli
from topics.kafka.reader import TopicReader
from topics.target import Target, run_directory, running_shop
from topics.topology import GROUPS, SERVICES

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_NONE = "-"
_HEAD = ("TOPIC", "PARTITION", "OWNER", "COMMITTED", "END", "LAG", "OLDEST", "RECOVERING")
_ALIGNMENTS = "<><>>>><"
_OLDEST = "kafka_consumer_oldest_batch_seconds"
_RECOVERING = "recovery_in_progress"
_UP = "notices_transport_up"
_PENDING = "notices_pending"
_PENDING_AGE = "notices_oldest_pending_seconds"
_STANDBY = "standby_lag_records"
_GAUGES = (_OLDEST, _STANDBY, _RECOVERING, _UP, _PENDING, _PENDING_AGE)

Gauges = dict[tuple[str, ...], float]
"""The gauges of a worker that are shown, by name and by labels in the order of their names:
of a batch and of a standby, partition and topic; of notifications, the transport."""


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

    def cells(self, workers: Mapping[str, Gauges]) -> tuple[str, ...]:
        """Return the cells of the table, with the metrics of the owner."""
        topic, partition = self.tp.topic, str(self.tp.partition)
        gauges = workers.get((self.owner or "").partition("@")[0])
        age = None if gauges is None else gauges.get((_OLDEST, partition, topic))
        return (
            topic,
            partition,
            self.owner or _NONE,
            _NONE if self.committed is None else str(self.committed),
            str(self.end),
            str(self.lag),
            _NONE if age is None else f"{age:.0f} s",
            _NONE if gauges is None else "yes" if gauges.get((_RECOVERING,)) else "no",
        )


def parse_metrics(text: str) -> Gauges:
    """Read a worker's metrics."""
    return {
        (sample.name, *(label for _, label in sorted(sample.labels.items()))): sample.value
        for family in families(text)
        for sample in family.samples
        if sample.name in _GAUGES
    }


def table(
    partitions: Iterable[PartitionStatus], workers: Mapping[str, Gauges]
) -> Iterator[str]:
    """Yield an aligned line for each partition, below a line of heads."""
    cells = (partition.cells(workers) for partition in partitions)
    return cli.table([_HEAD, *cells], _ALIGNMENTS)


def transports(workers: Mapping[str, Gauges]) -> Iterator[str]:
    """Yield a line for each transport of the notifications."""
    for worker, gauges in workers.items():
        names = (labels[0] for gauge, *labels in gauges if gauge.startswith("notices_"))
        for name in sorted(set(names)):
            up = "up" if gauges.get((_UP, name), 1) else "down"
            pending, age = (gauges.get((g, name), 0) for g in (_PENDING, _PENDING_AGE))
            yield f"{worker}: {name} {up}, {pending:.0f} pending, oldest {age:.0f} s"


def standbys(workers: Mapping[str, Gauges]) -> Iterator[str]:
    """Yield a line for each changelog that a worker follows."""
    for worker, gauges in workers.items():
        lags = defaultdict[str, list[float]](list)
        for (gauge, *labels), lag in gauges.items():
            if gauge == _STANDBY:
                lags[labels[1]].append(lag)
        for topic, of_topic in sorted(lags.items()):
            behind = f"at most {max(of_topic):.0f} records behind"
            yield f"{worker}: standby of {len(of_topic)} partitions of {topic}, {behind}"


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


async def _scrape(urls: Mapping[str, str]) -> dict[str, Gauges]:
    """Return the metrics of each worker that answers."""
    found: dict[str, Gauges] = {}

    async def fetch(name: str, url: str) -> None:
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with session.get(url) as response:
                found[name] = parse_metrics(await response.text())

    async with aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True) as session:
        await asyncio.gather(*starmap(fetch, urls.items()))
    return {name: found[name] for name in urls if name in found}


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
    """Print the table, transports, standbys, and the groups without a member."""
    urls = dict(metrics) or _urls_of_running_shop(target.cluster.kafka)
    states, partitions = cli.read(target, _read)
    workers = asyncio.run(_scrape(urls))
    groups = {topic.name: group for topic, group in GROUPS.items()}
    orphans = {groups[each.tp.topic] for each in partitions if each.owner is None}
    cli.echo(
        *table(partitions, workers),
        *transports(workers),
        *standbys(workers),
        *(
            f"partitions without an owner: the group {group} is {states[group]}"
            for group in sorted(orphans)
        ),
    )
    return cli.FAILED if orphans else cli.OK
