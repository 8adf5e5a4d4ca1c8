"""Where a gateway listens, with TLS and without; warnings, and no versions."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.component import gateway_process
from tests.component.door import Door
from tests.component.gateway_process import GatewayProcess, running
from tests.programs import need
from tests.standins.shop import Shop
from topics.kafka.settings import KafkaSettings

CA = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A certificate and its key, as the environment names them."""
    return issued(CA, tmp_path, "127.0.0.1")


def issued(authority: trustme.CA, directory: Path, name: str) -> dict[str, str]:
    issue = authority.issue_cert(name)
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    for blob in issue.cert_chain_pems:
        blob.write_to_path(cert, append=True)
    issue.private_key_pem.write_to_path(key)
    return {"GATEWAY_TLS_CERT": str(cert), "GATEWAY_TLS_KEY": str(key)}


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


async def secured(gateway: GatewayProcess) -> Door:
    """Return the door of a gateway with TLS, once it is ready."""
    gateway.door.tls = trusting()
    await gateway.door.ready()
    return gateway.door


async def test_a_call_is_made_by_https(
    cluster: KafkaSettings, shop: Shop, files: dict[str, str]
):
    async with running(cluster.kafka, **files) as gateway:
        door = await secured(gateway)
        call = door.begin("/stocks", {"sku": 1})
        await shop.reply(await shop.request(), {"type": "stocks", "stocks": []})
        assert (await call).json == {"stocks": []}
        gateway.process.terminate()
        async with asyncio.timeout(5):  # an idle connection does not delay the end
            assert await gateway.exit_code() == 0
    assert [line for line in gateway.log if "tls=True" in line]
    assert "Traceback" not in "".join(gateway.log)


async def test_curl_calls_it_and_trusts_no_other_certificate(
    cluster: KafkaSettings, shop: Shop, files: dict[str, str], tmp_path: Path
):
    need("curl")
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    def curl(authority: str, path: str, *words: str) -> subprocess.CompletedProcess[str]:
        url = f"https://127.0.0.1:{gateway.door.port}{path}"
        command = ("curl", "-sSf", "--cacert", authority, *words, url)
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    async with running(cluster.kafka, **files) as gateway:
        await secured(gateway)
        body = ("-d", '{"sku":1}')
        call = asyncio.create_task(asyncio.to_thread(curl, "ca.pem", "/stocks", *body))
        await shop.reply(await shop.request(), {"type": "stocks", "stocks": []})
        assert (await call).stdout == '{"stocks":[]}'
        refused = await asyncio.to_thread(curl, "other.pem", "/livez")
        assert (refused.returncode, refused.stdout) == (60, "")


async def test_there_is_no_plain_http_with_tls(
    cluster: KafkaSettings, files: dict[str, str]
):
    async with running(cluster.kafka, **files) as gateway:
        port = gateway.door.port
        response = await Door(gateway.door.session, port).raw(
            b"GET /livez HTTP/1.0\r\n\r\n"
        )
        assert not response.startswith(b"HTTP/1.1 200")
        await secured(gateway)
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
    assert "Traceback" not in "".join(gateway.log)


async def test_tls_1_3_is_used_and_http_2_is_not_offered(
    cluster: KafkaSettings, files: dict[str, str]
):
    def offered(port: int) -> tuple[str | None, str | None]:
        context = trusting()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            return client.version(), client.selected_alpn_protocol()

    async with running(cluster.kafka, **files) as gateway:
        port = gateway.door.port
        assert await asyncio.to_thread(offered, port) == ("TLSv1.3", "http/1.1")


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("cert", "", "go together"),
        ("", "key", "go together"),
        ("absent", "key", "No such file"),
        ("cert", "absent", "No such file"),
        ("cert", "other", "KEY_VALUES_MISMATCH"),
        ("cert", "text", "in PEM"),
        ("text", "key", "in PEM"),
        ("directory", "key", "in PEM"),
        ("cert", "encrypted", "must not be encrypted"),
    ],
)
async def test_an_invalid_tls_setting_is_reported_in_one_line(
    files: dict[str, str], tmp_path: Path, cert: str, key: str, why: str
):
    (tmp_path / "text").write_text("hush")
    made = {"cert": files["GATEWAY_TLS_CERT"], "key": files["GATEWAY_TLS_KEY"], "": ""}
    made["other"] = issued(CA, tmp_path, "localhost")["GATEWAY_TLS_KEY"]
    made["directory"] = str(tmp_path)
    made["encrypted"] = encrypted(Path(made["key"]), tmp_path / "encrypted")
    paths = [made.get(name, str(tmp_path / name)) for name in (cert, key)]
    names = dict(zip(("GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"), paths, strict=True))
    gateway = await gateway_process.start("127.0.0.1:1", **names)
    assert await gateway.exit_code() == 2
    await gateway.door.session.close()
    [line] = gateway.log
    assert "event=bad-setting" in line
    assert why in line
    assert "hush" not in line


def encrypted(key: Path, path: Path) -> str:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
    )
    return str(path)


@pytest.mark.parametrize(("host", "is_open"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_an_open_door_to_others_is_logged(
    cluster: KafkaSettings, host: str, is_open: bool
):
    async with running(cluster.kafka, GATEWAY_HOST=host, GATEWAY_TOKENS="") as gateway:
        gateway.process.terminate()
        assert await gateway.exit_code() == 0
    warnings = [line for line in gateway.log if "event=open-door" in line]
    assert len(warnings) == is_open
    assert all("hosts=0.0.0.0" in line and "GATEWAY_TOKENS" in line for line in warnings)


async def test_no_response_has_versions(gateway: Door):
    for method, path in (("GET", "/livez"), ("GET", "/nothing"), ("POST", "/stocks")):
        answer = await gateway.call(method, path, b"nonsense" if method == "POST" else None)
        assert answer.headers["Server"] == "shop"
    response = await gateway.raw(b"nonsense\r\n\r\n")
    assert b"Server: shop\r\n" in response
    assert b"aiohttp" not in response
    assert b"Python" not in response
