"""The readiness of a shop: wait until all services answer, then load the sample stock.

    python -m agents.ops.local.readiness --marks DIR URL...

The URLs are those of the gateways. `KAFKA` and `PARTITIONS` come from the environment. The
sample stock is loaded once for each Kafka cluster. A file in DIR marks the load, since
idempotency keys of receipts expire after a day.

If the gateways need a token (`GATEWAY_TOKENS`), the same requests go over Kafka. Then only
`/readyz` of the gateways is called.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import click
from aiohttp import ClientError, ClientSession, TCPConnector
from aiokafka.errors import KafkaError

from agents.ops.local.deployment import ShopError
from agents.ops.product_stand_in import SAMPLE_STOCKS, SampleStock
from agents.ops.requests import refusal
from agents.runtime.producer import ProducerRecord
from schemas.contract import Code
from topics.admin import TopicsError, cluster_id
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.location import partition_of
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings

READY_SECONDS = 240.0
_CALL_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_MAX_IN_FLIGHT = 16
_SHARDS = 4096

# Queries that only the owner of a partition answers.
_PROBES = {"stocks": "sku", "listOrder": "orderID", "listCart": "user"}
_ANSWERED = {HTTPStatus.OK, HTTPStatus.NOT_FOUND}  # from the owner: no such order
_TOPICS = {
    "stocks": STOCK_REQUESTS,
    "receiveStock": STOCK_REQUESTS,
    "listOrder": ORDER_REQUESTS,
    "listCart": CART_REQUESTS,
}


@dataclass(frozen=True, eq=False)
class Call:
    """One HTTP request: a GET without a body, a POST with one."""

    gateway: str
    name: str
    body: dict[str, int] | None = None
    key: str = ""

    def __str__(self) -> str:
        """Return the URL and the body."""
        return f"{self.gateway}/{self.name} {self.body or ''}".strip()


class ReadinessProbe:
    """Probes a shop with requests to its gateways.

    Attributes:
        waiting: requests without a reply.
        client: sends the requests over Kafka instead, since the gateways need a token.
    """

    def __init__(self, session: ClientSession, gateways: Sequence[str]) -> None:
        self._session = session
        self._gateways = gateways
        self._slots = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self.waiting: dict[Call, None] = {}
        self.client: RequestReplyClient | None = None

    async def is_locked(self) -> bool:
        """Wait for the first gateway; return whether its calls need a token."""
        # An invalid request does not leave the gateway.
        call = Call(self._gateways[0], "stocks", {})
        self.waiting = {call: None}
        while not (status := await self._status(call)):  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)
        return status == HTTPStatus.UNAUTHORIZED

    async def ready(self, partitions: int) -> None:
        """Wait until each gateway is ready, and the owner of each partition answers."""
        await self._all(Call(gateway, "readyz") for gateway in self._gateways)
        await self._all(
            Call(self._gateways[0], name, {field: number})
            for name, field in _PROBES.items()
            for number in one_for_each(partitions)
        )

    async def receive(self, stocks: Iterable[SampleStock]) -> None:
        """Put stock into warehouses; a repetition within a day has no effect."""
        await self._all(
            Call(
                self._gateways[0],
                "receiveStock",
                {"sku": sku, "warehouseID": warehouse, "count": count},
                f"sample-{sku}-{warehouse}",
            )
            for sku, warehouse, count in stocks
        )

    async def _all(self, calls: Iterable[Call]) -> None:
        self.waiting = dict.fromkeys(calls)
        await asyncio.gather(*map(self._until_answered, [*self.waiting]))

    async def _until_answered(self, call: Call) -> None:
        while await self._status(call) not in _ANSWERED:  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)
        del self.waiting[call]

    async def _status(self, call: Call) -> int:
        """Return the HTTP status of a reply; 0 without one."""
        try:
            async with self._slots, asyncio.timeout(_CALL_SECONDS):
                if self.client is None or call.body is None:
                    return await self._status_over_http(call)
                return await _status_over_kafka(self.client, call)
        except (ClientError, KafkaError, TimeoutError):
            return 0

    async def _status_over_http(self, call: Call) -> int:
        method = "GET" if call.body is None else "POST"
        url = f"{call.gateway}/{call.name}"
        headers = {"Idempotency-Key": call.key} if call.key else {}
        request = self._session.request(method, url, json=call.body, headers=headers)
        async with request as response:
            return response.status


async def _status_over_kafka(client: RequestReplyClient, call: Call) -> int:
    body = call.body or {}
    value = json.dumps({"type": call.name} | body).encode()
    headers = [(IDEMPOTENCY_KEY, call.key.encode())] if call.key else []
    # The first number of each request is the key, or a shard that is its own key.
    key = str(next(iter(body.values()))).encode()
    record = ProducerRecord(_TOPICS[call.name].name, key, value, [*headers])
    async with client.request(record) as (_, pending):
        refused = refusal(await pending.reply)
    if refused is None:
        return HTTPStatus.OK
    return HTTPStatus.NOT_FOUND if refused.code == Code.UNKNOWN_ORDER else 0


async def wait_until_ready(
    gateways: Sequence[str], cluster: KafkaSettings, marks: Path
) -> None:
    """Wait until all services answer, and load the sample stock once.

    Raises:
        ShopError: a service gave no answer in `READY_SECONDS`, or Kafka failed.
    """
    async with AsyncExitStack() as stack:
        # A certificate may have another host name; the requests have no secrets.
        session = ClientSession(connector=TCPConnector(ssl=False))
        probe = ReadinessProbe(await stack.enter_async_context(session), gateways)
        try:
            async with asyncio.timeout(READY_SECONDS):
                if await probe.is_locked():
                    client = RequestReplyClient(cluster)
                    probe.client = await stack.enter_async_context(client)
                await probe.ready(cluster.partitions)
                await _stock_once(probe, marks / f"stocked-{await cluster_id(cluster)}")
        except TimeoutError:
            raise ShopError(_unanswered(probe)) from None
        except (KafkaError, TopicsError) as error:
            raise ShopError(f"Kafka: {error}") from error


def _unanswered(probe: ReadinessProbe) -> str:
    first, *others = map(str, probe.waiting or ["Kafka"])
    more = f" (and {len(others)} more)" if others else ""
    return f"no answer to {first}{more}"


def one_for_each(partitions: int) -> list[int]:
    """Return a number for each partition, whose decimal text is a key of that partition.

    Each is valid as sku, user and orderID, since each is its own shard.
    """
    found: dict[int, int] = {}
    for number in range(1, _SHARDS):
        found.setdefault(partition_of(str(number).encode(), partitions), number)
    return list(found.values())


async def _stock_once(probe: ReadinessProbe, mark: Path) -> None:
    if not await asyncio.to_thread(mark.exists):
        await probe.receive(SAMPLE_STOCKS)
        await asyncio.to_thread(mark.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(mark.touch)


@click.command()
@click.option("--marks", type=click.Path(path_type=Path), required=True)
@click.argument("gateways", nargs=-1, required=True)
def main(marks: Path, gateways: tuple[str, ...]) -> None:
    """Wait for the shop of these gateways."""
    try:
        asyncio.run(wait_until_ready(gateways, KafkaSettings(), marks))
    except ShopError as reason:
        sys.exit(f"the shop is not ready: {reason}")


if __name__ == "__main__":
    main()
