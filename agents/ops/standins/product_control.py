"""The control port of the stand-in ProductService: HTTP with JSON, on 127.0.0.1 only.

GET    /state            latencySeconds, errorRate, failNext, calls, callsBySku
PATCH  /state            changes any of the first three
DELETE /calls            resets the counters
PUT    /products/{sku}   {"name", "price"}: adds or changes a product
DELETE /products/{sku}   removes a product
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.ops.standins.catalogue import Product
from schemas.contract import Contract, Price

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler

    from agents.ops.standins.product_service import ProductStandIn


class Behaviour(BaseModel):
    """Changes of the behaviour; an omitted field keeps its value."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    latency_seconds: Annotated[float, Field(ge=0)] = 0
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0
    fail_next: Annotated[int, Field(ge=0)] = 0


class ProductChange(Contract):
    """A new or changed product."""

    name: str
    price: Price


class _Control:
    def __init__(self, service: ProductStandIn) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/state", self._state),
            web.patch("/state", self._change_behaviour),
            web.delete("/calls", self._reset_calls),
            web.put(r"/products/{sku:\d+}", self._put_product),
            web.delete(r"/products/{sku:\d+}", self._delete_product),
        ]

    async def _state(self, _request: web.Request) -> web.Response:
        service = self._service
        state = {to_camel(name): getattr(service, name) for name in Behaviour.model_fields}
        calls = {str(sku): count for sku, count in sorted(service.calls.items())}
        return web.json_response(
            state | {"calls": service.calls.total(), "callsBySku": calls}
        )

    async def _change_behaviour(self, request: web.Request) -> web.Response:
        behaviour = Behaviour.model_validate_json(await request.text())
        for name in behaviour.model_fields_set:
            setattr(self._service, name, getattr(behaviour, name))
        return await self._state(request)

    async def _reset_calls(self, request: web.Request) -> web.Response:
        self._service.calls.clear()
        return await self._state(request)

    async def _put_product(self, request: web.Request) -> web.Response:
        change = ProductChange.model_validate_json(await request.text())
        sku = int(request.match_info["sku"])
        self._service.products[sku] = Product(change.name, change.price)
        return web.json_response({})

    async def _delete_product(self, request: web.Request) -> web.Response:
        self._service.products.pop(int(request.match_info["sku"]), None)
        return web.json_response({})


@web.middleware
async def _refuse_invalid(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        return web.json_response({"error": str(error)}, status=400)


@asynccontextmanager
async def control(service: ProductStandIn, port: int | None) -> AsyncIterator[int | None]:
    """Open the control port, unless it is None; yield the port."""
    if port is None:
        yield None
        return
    app = web.Application(middlewares=[_refuse_invalid])
    app.add_routes(_Control(service).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
