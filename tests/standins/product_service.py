"""A stand-in of ProductService whose behaviour tests change while it runs.

    python -m tests.standins.product_service --port 8082 --control-port 8092

Tests use the attributes of `ControlledStandIn` in the same process, and the control port in
another one. That is HTTP with JSON, on 127.0.0.1 only:

    GET    /state            latencySeconds, errorRate, failNext, calls, callsBySku
    PATCH  /state            changes any of the first three
    DELETE /calls            resets the counters
    PUT    /products/{sku}   {"name", "price"}: adds or changes a product
    DELETE /products/{sku}   removes a product
"""

import argparse
import asyncio
import logging
from collections import Counter
from random import Random

import grpc
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.ops import product_stand_in
from agents.ops.product_stand_in import ProductStandIn
from agents.products.pricing import Product
from schemas.contract import Contract, Price


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


class ControlledStandIn(ProductStandIn):
    """The service, with attributes that tests change.

    Attributes:
        calls: the number of requests for each sku, whatever the result.
        port: the listen port after the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.behaviour = Behaviour()
        self.calls: Counter[int] = Counter()
        self.port = 0
        self._random = Random(256)
        self._server = None

    @property
    def address(self) -> str:
        """The value for `PRODUCT_SERVICE`."""
        return f"127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        self._server, self.port = await product_stand_in.start(self, "127.0.0.1", port)

    async def stop(self) -> None:
        await self._server.stop(0)

    async def GetProduct(self, request, context):  # noqa: N802 -- gRPC's name
        self.calls[request.sku] += 1
        return await super().GetProduct(request, context)

    async def check(self, token, context) -> None:
        """Apply latency and errors, and check the token."""
        await asyncio.sleep(self.behaviour.latency_seconds)
        behaviour = self.behaviour
        if behaviour.fail_next > 0 or self._random.random() < behaviour.error_rate:
            behaviour.fail_next = max(0, behaviour.fail_next - 1)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected failure")
        await super().check(token, context)


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


def _control_app(service: ControlledStandIn) -> web.Application:
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


async def _serve(port: int, control_port: int) -> None:
    service = ControlledStandIn()
    runner = web.AppRunner(_control_app(service), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", control_port).start()
        log = logging.getLogger("product-service")
        log.info("event=control-port port=%d", runner.addresses[0][1])
        await product_stand_in.serve(service, "127.0.0.1", port)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    asyncio.run(_serve(**vars(parser.parse_args())))
