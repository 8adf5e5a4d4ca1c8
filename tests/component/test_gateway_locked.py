"""A gateway whose calls need a token: the roles, and the responses to other tokens."""

import asyncio
import base64
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from gateway.routes import ROUTES
from gateway.tokens import Role, line, new_token
from tests.component.conftest import OpenGateway
from tests.component.door import Door
from tests.component.gateway_process import running
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

TOKENS = {role: new_token() for role in Role}
LINES = "\n".join(line(token, role) for role, token in TOKENS.items())
PATHS = {route.path for route in ROUTES}
MAY = {
    "customer": PATHS - {"/orderPayed", "/receiveStock"},
    "payments": {"/orderPayed", "/listOrder"},
    "operator": PATHS,
}
NO_TOKEN = 'Bearer realm="shop"'
BAD_TOKEN = 'Bearer realm="shop", error="invalid_token"'
STOCKS = b'{"sku":1}'
OPEN = (
    *("/", "/livez", "/readyz", "/metrics", "/docs", "/events"),
    *("/openapi.json", "/asyncapi.json", "/docs/swagger-ui-bundle.js"),
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def put(file: Path, text: str | None) -> None:
    """Write a file; None removes it."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tokens, one of each role."""
    path = tmp_path / "tokens"
    put(path, LINES)
    return path


@pytest.fixture
async def locked(open_gateway: OpenGateway, file: Path) -> Door:
    """A gateway with these tokens."""
    return await open_gateway(gateway_tokens=file)


@pytest.fixture
async def untouched_lock(locked: Door, shop: Shop) -> AsyncIterator[Door]:
    """The same; no request of this test may reach Kafka."""
    before = await shop.ends()
    yield locked
    assert await shop.ends() == before


def test_the_table_of_roles_names_existing_calls():
    assert len(PATHS) == 11
    assert MAY["payments"] <= MAY["operator"]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", sorted(PATHS))
async def test_a_role_makes_its_calls_and_no_others(
    untouched_lock: Door, role: Role, path: str
):
    # No call has this body: with a valid token it is a bad request.
    answer = await untouched_lock.post(path, b"nonsense", bearer(TOKENS[role]))
    if path in MAY[role]:
        assert (answer.status, answer.code) == (400, "bad-request")
        return
    assert (answer.status, answer.code) == (403, "forbidden")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="shop", error="insufficient_scope"'
    assert role in answer.json["detail"]


async def test_a_call_with_a_token_gets_its_reply(locked: Door, shop: Shop):
    call = locked.begin("/stocks", {"sku": 1}, bearer(TOKENS[Role.CUSTOMER]))
    request = await shop.request()
    assert not any(TOKENS[Role.CUSTOMER].encode() in value for _, value in request.headers)
    assert "authorization" not in {name.lower() for name, _ in request.headers}
    await shop.reply(request, {"type": "stocks", "stocks": []})
    assert (await call).json == {"stocks": []}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR", "Bearer  ", " Bearer"])
async def test_a_scheme_has_no_case(untouched_lock: Door, scheme: str):
    head = {"Authorization": f"{scheme} {TOKENS[Role.OPERATOR]}"}
    assert (await untouched_lock.post("/stocks", b"nonsense", head)).status == 400


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, NO_TOKEN),
        ("", NO_TOKEN),
        ("Basic " + base64.b64encode(b"a:b").decode(), NO_TOKEN),
        (TOKENS[Role.OPERATOR], NO_TOKEN),
        (f"Bearer={TOKENS[Role.OPERATOR]}", NO_TOKEN),
        (f"Bearer{TOKENS[Role.OPERATOR]}", NO_TOKEN),
        ("Bearer", BAD_TOKEN),
        ("Bearer ", BAD_TOKEN),
        (f"Bearer {new_token()}", BAD_TOKEN),
        (f"Bearer {TOKENS[Role.OPERATOR]}x", BAD_TOKEN),
        (f"Bearer {TOKENS[Role.OPERATOR][:-1]}", BAD_TOKEN),
        (f"Bearer {TOKENS[Role.OPERATOR].swapcase()}", BAD_TOKEN),
        (f"Bearer {TOKENS[Role.OPERATOR]} {TOKENS[Role.OPERATOR]}", BAD_TOKEN),
        (f"Bearer {TOKENS[Role.OPERATOR]},", BAD_TOKEN),
        (f'Bearer "{TOKENS[Role.OPERATOR]}"', BAD_TOKEN),
        ("Bearer тест", BAD_TOKEN),
        (f"Bearer {'x' * 7000}", BAD_TOKEN),
    ],
    ids=count(),
)
async def test_a_request_without_a_valid_token_gets_a_challenge(
    untouched_lock: Door, header: str | None, challenge: str
):
    headers = {} if header is None else {"Authorization": header}
    answer = await untouched_lock.post("/stocks", STOCKS, headers)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == challenge
    assert header is None or len(header) < 9 or header[7:] not in answer.body.decode()


async def test_the_hash_of_a_token_is_no_token(untouched_lock: Door):
    for word in LINES.split():
        answer = await untouched_lock.post("/stocks", STOCKS, bearer(word))
        assert answer.status == 401


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0), (1, 1)])
async def test_several_authorization_headers_are_refused(
    untouched_lock: Door, order: tuple[int, int]
):
    tokens = (TOKENS[Role.OPERATOR], "unknown")
    lines = (b"Authorization: Bearer %s\r\n" % tokens[n].encode() for n in order)
    head = b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"
    body = b"Content-Length: %d\r\n\r\n%s" % (len(STOCKS), STOCKS)
    answer = await untouched_lock.raw(head, *lines, body)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))


async def test_raw_bytes_are_no_token(untouched_lock: Door):
    head = (
        b"POST /stocks HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: 9\r\n"
    )
    answer = await untouched_lock.raw(
        head, b"Authorization: Bearer \xff\xfe\r\n\r\n", STOCKS
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_query_carries_no_token(untouched_lock: Door):
    path = f"/stocks?access_token={TOKENS[Role.OPERATOR]}"
    assert (await untouched_lock.post(path, STOCKS)).status == 401


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_documents_need_no_token(untouched_lock: Door, path: str):
    assert (await untouched_lock.call("GET", path)).status == 200
    assert (await untouched_lock.call("HEAD", path, headers=bearer("x"))).status == 200


async def test_paths_and_methods_are_checked_before_tokens(untouched_lock: Door):
    assert (await untouched_lock.post("/nothing", STOCKS)).code == "not-found"
    assert (await untouched_lock.call("GET", "/stocks")).code == "method-not-allowed"


async def test_a_client_that_waits_to_send_a_body_is_refused_at_once(untouched_lock: Door):
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", untouched_lock.port)
        writer.write(
            b"POST /stocks HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()


async def test_a_body_is_not_read_without_a_token(untouched_lock: Door):
    too_large = {"Content-Length": str(2**40), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in too_large.items())
    head = f"POST /stocks HTTP/1.1\r\nHost: shop\r\n{lines}\r\n"
    answer = await untouched_lock.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_an_edit_of_the_file_is_effective_for_the_next_call(
    untouched_lock: Door, file: Path
):
    async def status() -> int:
        headers = bearer(TOKENS[Role.OPERATOR])
        return (await untouched_lock.post("/receiveStock", b"nonsense", headers)).status

    demoted = line(TOKENS[Role.OPERATOR], Role.CUSTOMER)
    edits = {LINES: 400, "": 401, demoted: 403, f"{LINES}\n": 400, "what is this": 400}
    for text, expected in edits.items():
        put(file, text)
        assert await status() == expected, text
    put(file, None)
    assert await status() == 400
    answer = await untouched_lock.post("/receiveStock", b"nonsense")
    assert answer.status == 401


async def test_no_part_of_a_token_is_logged_and_refusals_are_counted(
    cluster: KafkaSettings, file: Path
):
    secrets = [*TOKENS.values(), *LINES.split()[::2], "s3cr3t"]
    async with running(cluster.kafka, GATEWAY_TOKENS=str(file)) as gateway:
        await gateway.door.ready()
        for token in secrets:
            await gateway.door.post("/orderPayed", b"nonsense", bearer(token))
        await gateway.door.raw(b"POST /stocks\r\nAuthorization: Bearer s3cr3t\r\n\r\n")
        counted = (await gateway.door.call("GET", "/metrics")).body.decode()
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
    log = "".join(gateway.log)
    assert [secret for secret in secrets if secret in log] == []
    name = 'http_requests_total{call="orderPayed",outcome='
    assert f'{name}"unauthorized"}} 4.0' in counted
    assert f'{name}"forbidden"}} 1.0' in counted
    assert "event=open-door" not in log
