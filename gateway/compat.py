"""Lists the private names of aiohttp that the gateway uses.

`tests/contract/test_compat.py` holds this table against the installed version.
"""

from topics.kafka.compat import InnerNames

_HALF_CLOSE = (
    "a client that closes its sending side still reads; aiohttp drops its response"
)

INNER_NAMES = (
    InnerNames(
        "gateway/connection.py",
        _HALF_CLOSE,
        {
            "aiohttp.web_protocol:RequestHandler._close": "",
            "aiohttp.web_protocol:RequestHandler._keepalive_timeout": "",
            "aiohttp.web_protocol:RequestHandler._messages": "",
            "aiohttp.web_protocol:RequestHandler._request_count": "",
        },
        "aio-libs/aiohttp#3659",
    ),
    InnerNames(
        "gateway/server.py",
        _HALF_CLOSE,
        {
            "aiohttp.web_server:Server._loop": "",
            "aiohttp.web_server:Server._make_request": (
                "(self, message, payload, protocol, writer, task)"
            ),
        },
        "aio-libs/aiohttp#3659",
    ),
)
