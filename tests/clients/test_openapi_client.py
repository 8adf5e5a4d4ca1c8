"""A client that openapi-python-client generates from a gateway's /openapi.json."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

from gateway.tokens import Role, line, new_token
from tests.clients.conftest import Visit
from tests.component.gateway_process import running
from tests.e2e.shop import Shop
from tests.programs import run

PROGRAM = Path(__file__).parent / "openapi" / "buy.py"
GENERATOR = ("-m", "openapi_python_client", "generate", "--meta=none", "--fail-on-warning")
CONFIG = "post_hooks: []\n"  # formatting would need ruff in the PATH
WITHIN_SECONDS = 240.0


def made(url: str, directory: Path) -> Path:
    """Generate the client; return the path of the program that uses it."""
    config = directory / "config.yml"
    config.write_text(CONFIG)
    where = (f"--url={url}/openapi.json", f"--output-path={directory / 'shop_client'}")
    words = (sys.executable, *GENERATOR, f"--config={config}", *where)
    run(*words, within=WITHIN_SECONDS, here=directory)
    return Path(shutil.copy(PROGRAM, directory))


async def bought(visit: Visit, directory: Path, url: str, *token: str) -> None:
    """Buy a product; check all replies."""
    program = await asyncio.to_thread(made, url, directory)
    words = (url, str(visit.user), str(visit.sku), *token)
    text = await asyncio.to_thread(
        run, sys.executable, program, *words, within=WITHIN_SECONDS
    )
    there, added, problem, first, again, order = map(json.loads, text.splitlines())
    assert there == {"StocksView": {"stocks": [{"warehouseID": 1, "count": 5}]}}
    assert added == {"Done": {}}
    assert problem["Problem"]["code"] == "unknown-product"
    assert first == again
    assert order["OrderView"] == {
        "status": "awaiting payment",
        "user": visit.user,
        "items": [{"sku": visit.sku, "count": 2}],
    }
    assert await visit.http.do("listOrder", **first["OrderPlaced"]) == order["OrderView"]


async def test_a_generated_client_buys_a_product(visit: Visit, tmp_path: Path):
    await bought(visit, tmp_path, visit.http.url)


async def test_a_generated_client_buys_a_product_with_a_token(
    visit: Visit, shop: Shop, tmp_path: Path
):
    token, tokens = new_token(), tmp_path / "tokens"
    await asyncio.to_thread(tokens.write_text, line(token, Role.CUSTOMER))
    own = {"GATEWAY_TOKENS": str(tokens), "PARTITIONS": str(shop.partitions)}
    async with running(visit.brokers, GATEWAY_INDEX="2", **own) as gateway:
        await gateway.door.ready()
        await bought(visit, tmp_path, f"http://127.0.0.1:{gateway.door.port}", token)
