"""The control port of the stand-in ProductService: HTTP with JSON, on 127.0.0.1 only.

GET    /state            latencySeconds, errorRate, failNext, calls, callsBySku
PATCH  /state            any of the first three
DELETE /calls            count from zero again
PUT    /products/{sku}   {"name", "price"}: sold like this from now on
DELETE /products/{sku}   no longer sold
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
    """What can be changed; what is not named stays."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    latency_seconds: Annotated[float, Field(ge=0)] = 0
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0
    fail_next: Annotated[int, Field(ge=0)] = 0


class Sold(Contract):
    """A product as it is put into the catalogue."""

    name: str
    price: Price


class _Control:
    def __init__(self, service: ProductStandIn) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/state", self._state),
            web.patch("/state", self._behave),
            web.delete("/calls", self._forget_calls),
            web.put(r"/products/{sku:\d+}", self._sell),
            web.delete(r"/products/{sku:\d+}", self._withdraw),
        ]

    async def _state(self, _request: web.Request) -> web.Response:
        service = self._service
        state = {to_camel(name): getattr(service, name) for name in Behaviour.model_fields}
        calls = {str(sku): count for sku, count in sorted(service.calls.items())}
        return web.json_response(
            state | {"calls": service.calls.total(), "callsBySku": calls}
        )

    async def _behave(self, request: web.Request) -> web.Response:
        behaviour = Behaviour.model_validate_json(await request.text())
        for name in behaviour.model_fields_set:
            setattr(self._service, name, getattr(behaviour, name))
        return await self._state(request)

    async def _forget_calls(self, request: web.Request) -> web.Response:
        self._service.calls.clear()
        return await self._state(request)

    async def _sell(self, request: web.Request) -> web.Response:
        sold = Sold.model_validate_json(await request.text())
        sku = int(request.match_info["sku"])
        self._service.products[sku] = Product(sold.name, sold.price)
        return web.json_response({})

    async def _withdraw(self, request: web.Request) -> web.Response:
        self._service.products.pop(int(request.match_info["sku"]), None)
        return web.json_response({})


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as why:
        return web.json_response({"error": str(why)}, status=400)


@asynccontextmanager
async def control(service: ProductStandIn, port: int | None) -> AsyncIterator[int | None]:
    """Open the control port, or none at all for None; give the port that was taken."""
    if port is None:
        yield None
        return
    app = web.Application(middlewares=[_explain])
    app.add_routes(_Control(service).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
