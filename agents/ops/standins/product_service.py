"""A ProductService that can be run anywhere: a real gRPC server on the public proto.

    python -m agents.ops.standins.product_service --port 8082 [--control-port 8092]

It serves the fixed catalogue. How it behaves can be changed while it runs: in this
process on the `ProductStandIn` itself, in another one through the control port (see
`agents.ops.standins.product_control`).
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import grpc

from agents.ops.standins.catalogue import PRODUCTS, Product
from agents.ops.standins.product_control import control
from schemas.product_service import product_pb2, product_pb2_grpc

TOKEN = "testtoken"

_GRACE_SECONDS = 2.0  # for the calls under way at SIGTERM

# Two servers must not share a port unnoticed, as grpc would have it.
_OPTIONS = (("grpc.so_reuseport", 0),)

_log = logging.getLogger("product-service")


class ProductStandIn(product_pb2_grpc.ProductServiceServicer):
    """The service, and the levers that tests pull.

    Attributes:
        products: what is sold now; change it to change a price.
        latency_seconds: how long each call takes.
        error_rate: how many of the calls fail with UNAVAILABLE, 0…1.
        fail_next: so many calls fail with UNAVAILABLE before anything else is tried.
        gate: while it is clear, calls hang.
        calls: how often each sku was asked for, whatever the answer was.
        in_flight: calls under way.
        most_in_flight: the most that ever were.
        port: where it listens, once started.
    """

    def __init__(self, products: dict[int, Product] = PRODUCTS) -> None:
        self.products = dict(products)
        self.latency_seconds = 0.0
        self.error_rate = 0.0
        self.fail_next = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: Counter[int] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0
        self._chance = Random(256)
        self._server: Any = None
        self._arrived = asyncio.Condition()

    @property
    def address(self) -> str:
        """What `PRODUCT_SERVICE` is to be."""
        return f"127.0.0.1:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            RuntimeError: the port is taken.
        """
        server = grpc.aio.server(options=_OPTIONS)
        product_pb2_grpc.add_ProductServiceServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        self._server = server

    async def stop(self, grace_seconds: float = 0) -> None:
        """Take no more calls, and wait so long for those under way."""
        await self._server.stop(grace_seconds)

    async def until_calls(self, total: int) -> None:
        """Wait until so many calls have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.calls.total() >= total)

    async def GetProduct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with name and price of this moment."""
        async with self._call(request.sku):
            await self._behave(request.token, context)
            if request.sku not in self.products:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such sku")
            name, price = self.products[request.sku]
            return product_pb2.GetProductResponse(name=name, price=price)

    async def ListSkus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with the next page of skus, ascending."""
        await self._behave(request.token, context)
        after = sorted(sku for sku in self.products if sku > request.start_after_sku)
        return product_pb2.ListSkusResponse(skus=after[: request.count])

    @asynccontextmanager
    async def _call(self, sku: int) -> AsyncIterator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            async with self._arrived:
                self.calls[sku] += 1
                self._arrived.notify_all()
            yield
        finally:
            self.in_flight -= 1

    async def _behave(self, token: str, context: Any) -> None:
        """Be as slow and as faulty as told, and let nobody in without the token."""
        await self.gate.wait()
        await asyncio.sleep(self.latency_seconds)
        if self.fail_next > 0 or self._chance.random() < self.error_rate:
            self.fail_next = max(0, self.fail_next - 1)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "told to fail")
        if token != TOKEN:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="product-service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8082)
    parser.add_argument("--control-port", type=int, help="off unless given; 0 takes any")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    service, stopped = ProductStandIn(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await service.start(arguments.host, arguments.port)
    _log.info("listening on %s:%d", arguments.host, service.port)
    try:
        async with control(service, arguments.control_port) as port:
            if port is not None:
                _log.info("control port %d", port)
            await stopped.wait()
    finally:
        await service.stop(_GRACE_SECONDS)


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(_serve(_arguments()))
    except (RuntimeError, OSError) as why:
        sys.exit(f"product-service: {why}")


if __name__ == "__main__":
    main()
