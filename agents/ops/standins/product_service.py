"""A stand-in of ProductService: a gRPC server of the public proto.

    python -m agents.ops.standins.product_service --port 8082 [--control-port 8092]

It serves the fixed catalogue. Tests change its behaviour while it runs: in the same process
by the attributes of `ProductStandIn`, in another process through the control port (see
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

_GRACE_SECONDS = 2.0  # for calls in progress at SIGTERM

# By default grpc lets two servers share a port.
_OPTIONS = (("grpc.so_reuseport", 0),)

_log = logging.getLogger("product-service")


class ProductStandIn(product_pb2_grpc.ProductServiceServicer):
    """The service, with attributes that tests change.

    Attributes:
        products: the catalogue, which tests may change.
        latency_seconds: the duration of each call.
        error_rate: the share of calls that fail with UNAVAILABLE, 0…1.
        fail_next: the number of next calls that fail with UNAVAILABLE.
        gate: calls hang while it is clear.
        calls: the number of requests for each sku, whatever the result.
        in_flight: the number of calls in progress.
        most_in_flight: the maximum of `in_flight`.
        port: the listen port after the start.
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
        self._random = Random(256)
        self._server: Any = None
        self._arrived = asyncio.Condition()

    @property
    def address(self) -> str:
        """The value for `PRODUCT_SERVICE`."""
        return f"127.0.0.1:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Start the server; port 0 takes a free port.

        Raises:
            RuntimeError: the port is taken.
        """
        server = grpc.aio.server(options=_OPTIONS)
        product_pb2_grpc.add_ProductServiceServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        self._server = server

    async def stop(self, grace_seconds: float = 0) -> None:
        """Refuse new calls, and wait for calls in progress up to the limit."""
        await self._server.stop(grace_seconds)

    async def until_calls(self, total: int) -> None:
        """Wait until this number of calls has arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.calls.total() >= total)

    async def GetProduct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the current name and price."""
        async with self._call(request.sku):
            await self._behave(request.token, context)
            if request.sku not in self.products:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such sku")
            name, price = self.products[request.sku]
            return product_pb2.GetProductResponse(name=name, price=price)

    async def ListSkus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the next page of skus, in ascending order."""
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
        """Apply latency and errors, and check the token."""
        await self.gate.wait()
        await asyncio.sleep(self.latency_seconds)
        if self.fail_next > 0 or self._random.random() < self.error_rate:
            self.fail_next = max(0, self.fail_next - 1)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected failure")
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
    _log.info("event=listening address=%s:%d", arguments.host, service.port)
    try:
        async with control(service, arguments.control_port) as port:
            if port is not None:
                _log.info("event=control-port port=%d", port)
            await stopped.wait()
    finally:
        await service.stop(_GRACE_SECONDS)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(_serve(_arguments()))
    except (RuntimeError, OSError) as error:
        sys.exit(f"product-service: {error}")


if __name__ == "__main__":
    main()
