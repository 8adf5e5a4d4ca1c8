"""HTTP that is invalid, or that the gateway does not support, gets a problem."""

import gzip
import json

import pytest

from tests.component.door import Door

HEAD = b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"
LONG_HEADER = "a header has at most 8192 bytes, its name included"


@pytest.mark.parametrize(
    "key", ["", '""', "a b", "k" * 129, f'"{"k" * 129}"', "ключ", "a\tb", "é"]
)
async def test_an_invalid_idempotency_key_is_refused(untouched: Door, key: str):
    answer = await untouched.post("/stocks", {"sku": 1}, {"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad-request")
    assert "Idempotency-Key" in answer.json["detail"]


async def test_two_idempotency_keys_are_refused(untouched: Door):
    answer = await untouched.raw(
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: 9\r\n"
        b'Idempotency-Key: a\r\nidempotency-key: a\r\n\r\n{"sku":1}'
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"what?\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /stocks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n",
        HEAD + b"Content-Length: 9\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=lambda sent: str(sent)[:30],
)
async def test_bytes_that_are_not_http_get_a_problem(untouched: Door, sent: bytes):
    answer = await untouched.raw(sent)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["code"] == "bad-request"


@pytest.mark.parametrize(
    ("sent", "status", "code", "detail"),
    [
        (
            HEAD + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
            431,
            "headers-too-large",
            LONG_HEADER,
        ),
        (HEAD + b"X" * 20_000 + b": a\r\n\r\n", 431, "headers-too-large", LONG_HEADER),
        (
            HEAD + b"X-Many: a\r\n" * 200 + b"\r\n",
            431,
            "headers-too-large",
            "a request has at most 128 headers",
        ),
        (
            b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: shop\r\n\r\n",
            414,
            "uri-too-long",
            "a request target has at most 8190 bytes",
        ),
        (
            HEAD + b"Content-Length: 9\r\nExpect: 200-ok\r\n\r\n",
            417,
            "expectation-failed",
            "Expect 200-ok: only 100-continue is supported",
        ),
        (
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "unsupported-transfer-encoding",
            "Transfer-Encoding gzip: only chunked is supported",
        ),
    ],
)
async def test_an_unsupported_feature_of_http_is_named(
    untouched: Door, sent: bytes, status: int, code: str, detail: str
):
    answer = await untouched.raw(sent)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"] == detail


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x-gzip", "identity, gzip"])
@pytest.mark.parametrize("body", [b'{"sku":1}', gzip.compress(b'{"sku":1}', mtime=0)])
async def test_an_encoded_body_is_refused(untouched: Door, encoding: str, body: bytes):
    headers = {"Content-Encoding": encoding}
    answer = await untouched.post("/stocks", body, headers)
    assert (answer.status, answer.code) == (415, "unsupported-encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert "encoded bodies are not supported" in answer.json["detail"]


async def test_a_client_with_an_encoded_body_gets_no_100_continue(untouched: Door):
    answer = await untouched.raw(
        HEAD + b"Content-Length: 9\r\nContent-Encoding: gzip\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 415 ")
