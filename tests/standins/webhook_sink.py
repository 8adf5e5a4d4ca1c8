"""A webhook's HTTP server that keeps all posted notifications."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

_WITHIN_SECONDS = 90.0


class Posted(NamedTuple):
    """A received POST."""

    headers: Mapping[str, str]
    json: Any
    body: bytes


class WebhookSink:
    """An HTTP server under the control of a test.

    Attributes:
        posted: all POSTs in order, whatever the response.
        answers: status, and headers if any, of the next responses; after them 204.
        gate: posts wait while it is not set.
        broken: a status for all responses, before `answers`; 0: none.
        failing: orders whose posts get a 500.
    """

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.answers: deque[int | tuple[int, dict[str, str]]] = deque()
        self.broken = 0
        self.failing: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The value of `WEBHOOK_URL`."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1, for port 0 on a free port."""
        app = web.Application()
        app.router.add_post("/hook", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def until(self, *, posts: int) -> None:
        """Wait until a number of posts have arrived."""
        async with asyncio.timeout(_WITHIN_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.posted) >= posts)

    async def _post(self, request: web.Request) -> web.Response:
        post = Posted(request.headers, await request.json(), await request.read())
        async with self._changed:
            self.posted.append(post)
            self._changed.notify_all()
        await self.gate.wait()
        if self.broken or post.json["orderID"] in self.failing:
            return web.Response(status=self.broken or 500)
        match self.answers.popleft() if self.answers else 204:
            case (status, headers):
                return web.Response(status=status, headers=headers)
            case status:
                return web.Response(status=status)
