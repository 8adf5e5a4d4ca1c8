"""The readiness of a shop: wait until all services answer, then load the sample stock.

    python -m agents.ops.local.readiness --marks DIR URL...

The URLs are those of the gateways, which must answer at `/readyz`. The other requests go
over Kafka, since gateways may need a token. `KAFKA` and `PARTITIONS` come from the
environment. The sample stock is loaded once for each Kafka cluster. A file in DIR marks the
load, since idempotency keys of receipts expire after a day.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
from aiohttp import ClientError, ClientSession, TCPConnector
from aiokafka.errors import KafkaError

from agents.ops.product_stand_in import SAMPLE_STOCKS
from agents.ops.requests import record_of, refusal
from agents.runtime.producer import ProducerRecord
from schemas.cart import ListCart
from schemas.contract import Code
from schemas.order import ListOrder
from schemas.stock import ListStocks, ReceiveStock
from topics.admin import cluster_id
from topics.cli import CommandError
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.location import partition_of
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings
from topics.kafka.topic_admin import TopicsError

READY_SECONDS = 240.0
_CALL_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_MAX_IN_FLIGHT = 16
_SHARDS = 4096


class _Probe:
    """Repeats requests until each has an answer: URLs to get, and records to send.

    Attributes:
        waiting: the requests without an answer.
    """

    def __init__(self, session: ClientSession, client: RequestReplyClient) -> None:
        self._session = session
        self.client = client
        self._slots = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self.waiting: list[str | ProducerRecord] = []

    async def all_answer(self, requests: Iterable[str | ProducerRecord]) -> None:
        """Wait until all requests have an answer."""
        self.waiting = [*requests]
        await asyncio.gather(*map(self._until_answered, [*self.waiting]))

    async def _until_answered(self, request: str | ProducerRecord) -> None:
        while not await self._is_answered(request):  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)
        self.waiting.remove(request)

    async def _is_answered(self, request: str | ProducerRecord) -> bool:
        try:
            async with self._slots, asyncio.timeout(_CALL_SECONDS):
                if isinstance(request, str):
                    async with self._session.get(request) as response:
                        return response.ok
                async with self.client.request(request) as (_, pending):
                    refused = refusal(await pending.reply)
        except (ClientError, KafkaError, TimeoutError):
            return False
        return refused is None or refused.code == Code.UNKNOWN_ORDER


async def wait_until_ready(
    gateways: Sequence[str], cluster: KafkaSettings, marks: Path
) -> None:
    """Wait until all services answer, and load the sample stock once.

    Raises:
        CommandError: a service gave no answer in `READY_SECONDS`, or Kafka failed.
    """
    # A certificate may have another host name; the requests have no secrets.
    async with ClientSession(connector=TCPConnector(ssl=False)) as session:
        probe = _Probe(session, RequestReplyClient(cluster))
        try:
            async with asyncio.timeout(READY_SECONDS), probe.client:
                await probe.all_answer(f"{gateway}/readyz" for gateway in gateways)
                await probe.all_answer(_queries(cluster.partitions))
                await _stock_once(probe, marks / f"stocked-{await cluster_id(cluster)}")
        except TimeoutError:
            first, *others = probe.waiting or ["Kafka"]
            more = f" (and {len(others)} more)" if others else ""
            raise CommandError(f"no answer to {_name(first)}{more}") from None
        except (KafkaError, TopicsError) as error:
            raise CommandError(f"Kafka: {error}") from error


async def _stock_once(probe: _Probe, mark: Path) -> None:
    if await asyncio.to_thread(mark.exists):
        return
    await probe.all_answer(
        record_of(
            ReceiveStock(sku=sku, warehouse_id=warehouse, count=count),
            (IDEMPOTENCY_KEY, f"sample-{sku}-{warehouse}".encode()),
        )
        for sku, warehouse, count in SAMPLE_STOCKS
    )
    await asyncio.to_thread(mark.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(mark.touch)


def _queries(partitions: int) -> Iterator[ProducerRecord]:
    """Yield queries that only the owner of a partition answers, for each partition."""
    for number in one_for_each(partitions):
        yield record_of(ListStocks(sku=number))
        yield record_of(ListOrder(order_id=number))
        yield record_of(ListCart(user=number))


def one_for_each(partitions: int) -> list[int]:
    """Return a number for each partition, whose decimal text is a key of that partition.

    Each is valid as sku, user and orderID, since each is its own shard.
    """
    found: dict[int, int] = {}
    for number in range(1, _SHARDS):
        found.setdefault(partition_of(str(number).encode(), partitions), number)
    return list(found.values())


def _name(request: str | ProducerRecord) -> str:
    if isinstance(request, str):
        return request
    return f"{request.topic} {(request.value or b'').decode()}"


@click.command()
@click.option("--marks", type=click.Path(path_type=Path), required=True)
@click.argument("gateways", nargs=-1, required=True)
def main(marks: Path, gateways: tuple[str, ...]) -> None:
    """Wait for the shop of these gateways."""
    try:
        asyncio.run(wait_until_ready(gateways, KafkaSettings(), marks))
    except CommandError as reason:
        sys.exit(f"the shop is not ready: {reason}")


if __name__ == "__main__":
    main()
