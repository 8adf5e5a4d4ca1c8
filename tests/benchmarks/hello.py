"""The floor of HTTP: aiohttp with a constant response, on uvloop."""

import sys

import uvloop
from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    """Read the body; return as many bytes as a gateway."""
    await request.read()
    return web.Response(body=b'{"stocks":[]}', content_type="application/json")


if __name__ == "__main__":
    loop = uvloop.new_event_loop()
    app = web.Application()
    app.router.add_post("/{call}", hello)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=loop,
    )
