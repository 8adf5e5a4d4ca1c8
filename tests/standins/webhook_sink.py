"""Somebody's webhook: a real HTTP server that keeps what is posted to it."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

_WITHIN_SECONDS = 90.0


class Posted(NamedTuple):
    """One POST as it came."""

    headers: Mapping[str, str]
    json: Any
    body: bytes


class WebhookSink:
    """The server, and the levers that tests pull.

    Attributes:
        posted: every POST in order, whatever the answer was.
        answers: status, and headers if any, of the next answers; 204 where none is left.
        gate: while it is clear, posts hang.
        broken: what is answered as long as it is set, whatever else there is to answer.
        failing: orders whose posts are answered with a 500.
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
        """What `WEBHOOK_URL` is to be."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        app = web.Application()
        app.router.add_post("/hook", self._post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more posts."""
        if self._runner:
            await self._runner.cleanup()

    async def until(self, *, posts: int) -> None:
        """Wait until so many posts have come."""
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
