"""The opening of a shop: wait until every part of it serves, then stock its shelves.

    python -m agents.ops.local.readiness --marks DIR URL...

The URLs are its gateways'; `KAFKA` and `PARTITIONS` come from the environment. The
sample stock goes in once for each Kafka cluster; a file in DIR says that it did, since
the idempotency keys of receipts are remembered only for a day.

Where the gateways need a token (`GATEWAY_TOKENS`) the same requests go over Kafka, and of
the gateways only `/readyz` is called.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from agents.ops.requests import refusal
from agents.ops.standins.catalogue import SAMPLE_STOCKS, SampleStock
from agents.runtime.producer import ProducerRecord
from schemas.contract import Code
from topics.admin import TopicsError, cluster_id
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.headers import IDEMPOTENCY_KEY
from topics.kafka.request_reply import RequestReplyClient
from topics.kafka.settings import KafkaSettings

READY_SECONDS = 240.0
_CALL_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_CALLS_AT_ONCE = 16
_SHARDS = 4096

# Answers that only the owner of a partition can give; nothing changes by asking.
_PROBES = {"/stocks": "sku", "/listOrder": "orderID", "/listCart": "user"}
_ANSWERED = {HTTPStatus.OK, HTTPStatus.NOT_FOUND}  # there is no such order, says its owner
_TOPICS = {
    "stocks": STOCK_REQUESTS,
    "receiveStock": STOCK_REQUESTS,
    "listOrder": ORDER_REQUESTS,
    "listCart": CART_REQUESTS,
}


class NotReadyError(Exception):
    """A part of the shop does not serve; the message says which."""


@dataclass(frozen=True, eq=False)
class Call:
    """One HTTP request: a GET without a body, a POST with one."""

    url: str
    body: dict[str, int] | None = None
    key: str = ""

    def __str__(self) -> str:
        """Say what is asked of whom."""
        return f"{self.url} {self.body or ''}".strip()


class ReadinessProbe:
    """A shop as its customers see it.

    Attributes:
        waiting: what has not been answered yet.
    """

    def __init__(self, session: ClientSession, gateways: Sequence[str]) -> None:
        self._session = session
        self._gateways = gateways
        self._turn = asyncio.Semaphore(_CALLS_AT_ONCE)
        self.waiting: dict[Call, None] = {}

    async def is_locked(self) -> bool:
        """Wait for the first gateway; return whether its calls need a token."""
        call = Call(f"{self._gateways[0]}/stocks", {})  # bad, so it goes no further
        self.waiting = {call: None}
        while not (status := await self._status(call)):  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)
        return status == HTTPStatus.UNAUTHORIZED

    async def ready(self, partitions: int) -> None:
        """Wait until each gateway is ready, and the owners of each partition answer."""
        await self._all(Call(f"{gateway}/readyz") for gateway in self._gateways)
        await self._all(
            Call(self._gateways[0] + path, {name: number})
            for path, name in _PROBES.items()
            for number in one_for_each(partitions)
        )

    async def receive(self, stocks: Iterable[SampleStock]) -> None:
        """Put goods into warehouses; again does no harm, for a day."""
        await self._all(
            Call(
                f"{self._gateways[0]}/receiveStock",
                {"sku": sku, "warehouseID": warehouse, "count": count},
                f"sample-{sku}-{warehouse}",
            )
            for sku, warehouse, count in stocks
        )

    async def _all(self, calls: Iterable[Call]) -> None:
        tasks = {call: self._until_answered(call) for call in calls}
        self.waiting = dict.fromkeys(tasks)
        await asyncio.gather(*tasks.values())

    async def _until_answered(self, call: Call) -> None:
        while await self._status(call) not in _ANSWERED:  # noqa: ASYNC110
            await asyncio.sleep(_RETRY_SECONDS)
        del self.waiting[call]

    async def _status(self, call: Call) -> int:
        method = "GET" if call.body is None else "POST"
        headers = {"Idempotency-Key": call.key} if call.key else {}
        request = self._session.request(method, call.url, json=call.body, headers=headers)
        try:
            async with self._turn, request as response:
                return response.status
        except (ClientError, TimeoutError):
            return 0


class BackDoor(ReadinessProbe):
    """The same shop where the gateways need a token: its requests go over Kafka."""

    def __init__(
        self, session: ClientSession, gateways: Sequence[str], caller: RequestReplyClient
    ) -> None:
        super().__init__(session, gateways)
        self._caller = caller

    async def _status(self, call: Call) -> int:
        if call.body is None:
            return await super()._status(call)
        try:
            async with self._turn, asyncio.timeout(_CALL_SECONDS):
                return await self._reply_status(_letter(call))
        except (KafkaError, TimeoutError):
            return 0

    async def _reply_status(self, letter: ProducerRecord) -> int:
        async with self._caller.request(letter) as (_, waiting):
            refused = refusal(await waiting.reply)
        if refused is None:
            return HTTPStatus.OK
        return HTTPStatus.NOT_FOUND if refused.code == Code.UNKNOWN_ORDER else 0


def _letter(call: Call) -> ProducerRecord:
    name = call.url.rpartition("/")[2]
    value = json.dumps({"type": name} | (call.body or {})).encode()
    headers = [(IDEMPOTENCY_KEY, call.key.encode())] if call.key else []
    # Of all of these the first number is the owner, or its own shard.
    owner = next(iter(call.body.values())) if call.body else 0
    return ProducerRecord(_TOPICS[name].name, str(owner).encode(), value, [*headers])


async def wait_until_ready(
    gateways: Sequence[str], cluster: KafkaSettings, marks: Path
) -> None:
    """Wait until a shop serves, and load the sample stock if it never was.

    Raises:
        NotOpenError: that took longer than `READY_SECONDS`, or Kafka failed.
    """
    # A certificate need not name this machine; nothing that is secret is sent.
    connector, timeout = TCPConnector(ssl=False), ClientTimeout(_CALL_SECONDS)
    async with (
        ClientSession(timeout=timeout, connector=connector) as session,
        AsyncExitStack() as stack,
    ):
        shop = ReadinessProbe(session, gateways)
        try:
            async with asyncio.timeout(READY_SECONDS):
                if await shop.is_locked():
                    caller = await stack.enter_async_context(RequestReplyClient(cluster))
                    shop = BackDoor(session, gateways, caller)
                await shop.ready(cluster.partitions)
                await _stock_once(shop, marks / f"stocked-{await cluster_id(cluster)}")
        except TimeoutError:
            raise NotReadyError(_unanswered(shop)) from None
        except (KafkaError, TopicsError) as error:
            raise NotReadyError(f"Kafka: {error}") from error


def _unanswered(shop: ReadinessProbe) -> str:
    first, *others = map(str, shop.waiting or ["Kafka"])
    more = f" (and {len(others)} more)" if others else ""
    return f"no answer to {first}{more}"


def one_for_each(partitions: int) -> list[int]:
    """Return numbers whose decimal texts, as keys, lie one in each partition.

    They are good as sku, user and orderID, since each is its own shard.
    """
    found: dict[int, int] = {}
    for number in range(1, _SHARDS):
        found.setdefault((murmur2(str(number).encode()) & 0x7FFFFFFF) % partitions, number)
    return list(found.values())


async def _stock_once(shop: ReadinessProbe, mark: Path) -> None:
    if not await asyncio.to_thread(mark.exists):
        await shop.receive(SAMPLE_STOCKS)
        await asyncio.to_thread(_set, mark)


def _set(mark: Path) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


def main() -> int:
    """Open the shop of the command line; 1 and one line when it does not open."""
    parser = argparse.ArgumentParser(prog="python -m agents.ops.local.readiness")
    parser.add_argument("--marks", type=Path, required=True)
    parser.add_argument("gateways", nargs="+")
    asked = parser.parse_args()
    try:
        asyncio.run(wait_until_ready(asked.gateways, KafkaSettings(), asked.marks))
    except NotReadyError as reason:
        print(f"the shop does not open: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
