"""A stand-in of ProductService: a gRPC server of the public proto.

    python -m agents.ops.standins.product_service --port 8082 [--control-port 8092]

It serves the fixed catalogue. Tests change its behaviour while it runs: in the same process
by the attributes of `ProductStandIn`, in another process through the control port. That is
HTTP with JSON, on 127.0.0.1 only:

    GET    /state            latencySeconds, errorRate, failNext, calls, callsBySku
    PATCH  /state            changes any of the first three
    DELETE /calls            resets the counters
    PUT    /products/{sku}   {"name", "price"}: adds or changes a product
    DELETE /products/{sku}   removes a product
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections import Counter
from random import Random
from typing import Any

import grpc
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.ops.standins.catalogue import PRODUCTS, Product
from schemas.contract import Contract, Price
from schemas.product_service import SERVICE, product_pb2

TOKEN = "testtoken"

_GRACE_SECONDS = 2.0  # for calls in progress at SIGTERM

# By default grpc lets two servers share a port.
_OPTIONS = (("grpc.so_reuseport", 0),)

_log = logging.getLogger("product-service")


class Behaviour(BaseModel):
    """How the service behaves.

    Attributes:
        latency_seconds: the duration of each call.
        error_rate: the share of calls that fail with UNAVAILABLE.
        fail_next: the number of next calls that fail with UNAVAILABLE.
    """

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    latency_seconds: float = Field(default=0, ge=0)
    error_rate: float = Field(default=0, ge=0, le=1)
    fail_next: int = Field(default=0, ge=0)


class ProductStandIn:
    """The service, with attributes that tests change.

    Attributes:
        calls: the number of requests for each sku, whatever the result.
        port: the listen port after the start.
    """

    def __init__(self) -> None:
        self.products = dict(PRODUCTS)
        self.behaviour = Behaviour()
        self.calls: Counter[int] = Counter()
        self.port = 0
        self._random = Random(256)
        self._server: Any = None

    @property
    def address(self) -> str:
        """The value for `PRODUCT_SERVICE`."""
        return f"127.0.0.1:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Start the server; 0 takes a free port, a taken one raises a RuntimeError."""
        server = grpc.aio.server(options=_OPTIONS)
        handlers = grpc.method_handlers_generic_handler(SERVICE, self._methods())
        server.add_generic_rpc_handlers((handlers,))
        self.port = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        self._server = server

    def _methods(self) -> dict[str, Any]:
        return {
            "GetProduct": grpc.unary_unary_rpc_method_handler(
                self.GetProduct,
                product_pb2.GetProductRequest.FromString,
                product_pb2.GetProductResponse.SerializeToString,
            ),
            "ListSkus": grpc.unary_unary_rpc_method_handler(
                self.ListSkus,
                product_pb2.ListSkusRequest.FromString,
                product_pb2.ListSkusResponse.SerializeToString,
            ),
        }

    async def stop(self, grace_seconds: float = 0) -> None:
        """Refuse new calls, and wait for calls in progress up to the limit."""
        await self._server.stop(grace_seconds)

    async def GetProduct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the current name and price."""
        self.calls[request.sku] += 1
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

    async def _behave(self, token: str, context: Any) -> None:
        """Apply latency and errors, and check the token."""
        await asyncio.sleep(self.behaviour.latency_seconds)
        behaviour = self.behaviour
        if behaviour.fail_next > 0 or self._random.random() < behaviour.error_rate:
            behaviour.fail_next = max(0, behaviour.fail_next - 1)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected failure")
        if token != TOKEN:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")


class ProductChange(Contract):
    """A new or changed product."""

    name: str
    price: Price


@web.middleware
async def _refuse_invalid(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        return web.json_response({"error": str(error)}, status=400)


def _control_app(service: ProductStandIn) -> web.Application:
    routes = web.RouteTableDef()

    @routes.get("/state")
    async def state(_request: web.Request) -> web.StreamResponse:
        by_sku = {str(sku): count for sku, count in sorted(service.calls.items())}
        calls = {"calls": service.calls.total(), "callsBySku": by_sku}
        return web.json_response(service.behaviour.model_dump(by_alias=True) | calls)

    @routes.patch("/state")
    async def change_behaviour(request: web.Request) -> web.StreamResponse:
        given = Behaviour.model_validate_json(await request.text())
        changes = given.model_dump(exclude_unset=True)
        service.behaviour = service.behaviour.model_copy(update=changes)
        return await state(request)

    @routes.delete("/calls")
    async def reset_calls(request: web.Request) -> web.StreamResponse:
        service.calls.clear()
        return await state(request)

    @routes.put(r"/products/{sku:\d+}")
    async def put_product(request: web.Request) -> web.StreamResponse:
        change = ProductChange.model_validate_json(await request.text())
        sku = int(request.match_info["sku"])
        service.products[sku] = Product(change.name, change.price)
        return web.json_response({})

    @routes.delete(r"/products/{sku:\d+}")
    async def delete_product(request: web.Request) -> web.StreamResponse:
        service.products.pop(int(request.match_info["sku"]), None)
        return web.json_response({})

    app = web.Application(middlewares=[_refuse_invalid])
    app.add_routes(routes)
    return app


async def _serve(arguments: argparse.Namespace) -> None:
    service, stopped = ProductStandIn(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await service.start(arguments.host, arguments.port)
    _log.info("event=listening address=%s:%d", arguments.host, service.port)
    runner = web.AppRunner(_control_app(service), access_log=None)
    await runner.setup()
    try:
        if arguments.control_port is not None:
            await web.TCPSite(runner, "127.0.0.1", arguments.control_port).start()
            _log.info("event=control-port port=%d", runner.addresses[0][1])
        await stopped.wait()
    finally:
        await runner.cleanup()
        await service.stop(_GRACE_SECONDS)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="product-service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8082)
    parser.add_argument("--control-port", type=int, help="off unless given; 0 takes any")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        asyncio.run(_serve(parser.parse_args()))
    except (RuntimeError, OSError) as error:
        sys.exit(f"product-service: {error}")


if __name__ == "__main__":
    main()
