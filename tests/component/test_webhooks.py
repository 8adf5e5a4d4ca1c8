"""Notifications to a webhook: content, signature, and the meaning of responses."""

import asyncio
import hashlib
import hmac
import time
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

import pytest

from agents.notifications.transports import PermanentError, TransientError
from tests.component.notices import BIG, event, over_http
from tests.standins.webhook_sink import Posted, WebhookSink

SECRET = "a secret, пароль"  # any text will do


async def test_a_webhook_gets_the_event_as_it_is_on_kafka_and_its_id(hook):
    await over_http(hook).deliver(event())
    [post] = hook.posted
    assert post.headers["Idempotency-Key"] == "8193:awaiting payment"
    assert post.headers["Content-Type"] == "application/json"
    assert post.json == {
        "type": "orderStatusChanged",
        "orderID": 8193,
        "user": BIG,
        "status": "awaiting payment",
        "items": [{"sku": 4294967295, "count": 65535}],
        "at": "2026-11-23T16:31:05Z",
    }


def is_signed(post: Posted, secret: str) -> bool:
    """Verify a post as its receiver would."""
    at = post.headers["X-Shop-Timestamp"]
    by_us = hmac.new(secret.encode(), f"{at}.".encode() + post.body, hashlib.sha256)
    return post.headers["X-Shop-Signature"] == f"sha256={by_us.hexdigest()}"


async def test_a_webhook_with_a_secret_is_signed_by_it(hook: WebhookSink):
    await over_http(hook, webhook_secret=SECRET).deliver(event())
    [post] = hook.posted
    assert is_signed(post, SECRET)
    assert not is_signed(post, "another")
    assert not is_signed(post._replace(body=post.body.replace(b"8193", b"8194")), SECRET)


async def test_each_attempt_is_signed_at_its_own_moment(hook: WebhookSink):
    transport = over_http(hook, webhook_secret=SECRET)
    before = int(time.time())
    for _ in range(2):
        await transport.deliver(event())
    moments = [int(post.headers["X-Shop-Timestamp"]) for post in hook.posted]
    assert before <= moments[0] <= moments[1] <= time.time()
    assert all(is_signed(post, SECRET) for post in hook.posted)


async def test_without_a_secret_nothing_is_signed(hook: WebhookSink):
    await over_http(hook, webhook_secret="").deliver(event())
    assert not [name for name in hook.posted[0].headers if name.startswith("X-Shop")]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_transient_status_is_a_transient_error(hook, status):
    hook.answers.append(status)
    with pytest.raises(TransientError, match=f"^HTTP {status}$") as later:
        await over_http(hook).deliver(event())
    assert not later.value.is_of_recipient


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 301, 307])
async def test_a_permanent_status_is_a_permanent_error(hook, status):
    hook.answers.append((status, {"Location": hook.url}))
    with pytest.raises(PermanentError, match=f"^HTTP {status}$"):
        await over_http(hook).deliver(event())
    assert len(hook.posted) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("17", 17), ("86400", 300), ("9" * 400, 300), ("soon", 0), ("-5", 0), ("", 0)],
)
async def test_a_webhook_may_request_a_delay_within_limits(hook, value, seconds):
    hook.answers.append((429, {"Retry-After": value}))
    with pytest.raises(TransientError) as later:
        await over_http(hook).deliver(event())
    assert later.value.wait_seconds == seconds


@pytest.mark.parametrize(
    ("later_by", "least", "most"), [(100, 60, 100), (86400, 300, 300), (-100, 0, 0)]
)
async def test_a_webhook_may_request_a_time_of_the_retry(hook, later_by, least, most):
    moment = datetime.now(UTC) + timedelta(seconds=later_by)
    hook.answers.append((503, {"Retry-After": format_datetime(moment, usegmt=True)}))
    with pytest.raises(TransientError) as later:
        await over_http(hook).deliver(event())
    assert least <= later.value.wait_seconds <= most


async def test_a_webhook_that_hangs_or_is_down_is_a_transient_error_without_its_url(hook):
    hook.gate.clear()
    with pytest.raises(TransientError, match="TimeoutError"):
        await over_http(hook, notify_timeout_seconds=0.1).deliver(event())
    hook.gate.set()
    await hook.stop()
    with pytest.raises(TransientError) as gone:
        await over_http(hook).deliver(event())
    assert "hook" not in str(gone.value)


class RequestHead(NamedTuple):
    """The first lines of a request, as they came."""

    line: str
    headers: dict[str, str]


@pytest.fixture
async def raw() -> AsyncIterator[tuple[int, list[RequestHead]]]:
    """A server that interprets nothing; its port, and what came."""
    heads: list[RequestHead] = []

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")[:-2]
        heads.append(RequestHead(line, dict(each.split(": ", 1) for each in rest)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heads
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/hook?sig=a%2Fb%3D", "/hook?sig=a%2Fb%3D"),
        ("?sig=a%2Fb%3D", "/?sig=a%2Fb%3D"),
        ("/a%2Fb/../c/./d//e%7E%7e;x", "/a%2Fb/../c/./d//e%7E%7e;x"),
        ("/h?x=a+b%20c&y=%2B%26&z=%zz&&e=", "/h?x=a+b%20c&y=%2B%26&z=%zz&&e="),
        ("/h?a=$HOME&b=%(x)s&c='\"{}|\\^`<>[]@:,!*", None),
        (
            "/h?sig=%c3%a9&d=2026-11-29T16:05:00Z#part",
            "/h?sig=%c3%a9&d=2026-11-29T16:05:00Z",
        ),
        ("/путь?к=%2Fв", "/%D0%BF%D1%83%D1%82%D1%8C?%D0%BA=%2F%D0%B2"),
        ("", "/"),
    ],
)
async def test_a_webhooks_url_is_sent_byte_for_byte(raw, given, sent):
    port, heads = raw
    url = f"http://127.0.0.1:{port}{given}"
    await over_http(None, webhook_url=url).deliver(event())
    assert [head.line for head in heads] == [f"POST {sent or given} HTTP/1.1"]


@pytest.mark.parametrize(
    ("login", "token"),
    [
        ("shop:p%40s%2Fs", b"shop:p@s/s"),
        ("shop:%D0%BF", "shop:п".encode()),
        ("shop:%E9", b"shop:\xe9"),
        ("a%3Ab:c", b"a:b:c"),
        ("shop", b"shop:"),
    ],
)
async def test_a_webhooks_login_arrives_byte_for_byte(raw, login, token):
    port, heads = raw
    url = f"http://{login}@127.0.0.1:{port}/h"
    await over_http(None, webhook_url=url).deliver(event())
    [head] = heads
    assert head.headers["Authorization"] == f"Basic {b64encode(token).decode()}"
    assert head.headers["Host"] == f"127.0.0.1:{port}"
