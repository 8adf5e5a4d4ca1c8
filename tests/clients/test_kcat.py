"""kcat, with librdkafka's own partitioner and without any key."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.programs import need, run

WITHIN_SECONDS = 90.0


@pytest.fixture(autouse=True)
def kcat() -> None:
    """Skip the tests without kcat."""
    need("kcat")


def ask(visit: Visit, number: int, topic: str, body: dict, directory: Path) -> str:
    """Send the request of a number; return its reply."""
    value = directory / f"{number}.json"
    value.write_text(json.dumps(body))
    headers = ("-H", f"kafka_replyTopic={visit.replies}")
    headers += ("-H", f"kafka_correlationId=kcat-{number}")
    kcat = ("kcat", "-b", visit.brokers)
    run(*kcat, "-P", "-t", topic, *headers, value, within=WITHIN_SECONDS)
    so_many = ("-o", "beginning", "-c", str(number), "-f", "%h\t%s\n")
    output = run(*kcat, "-q", "-C", "-t", visit.replies, *so_many, within=WITHIN_SECONDS)
    replies = dict(line.split("\t", 1) for line in output.splitlines())
    return replies[f"kafka_correlationId=kcat-{number}"]


async def test_kcat(visit: Visit, tmp_path: Path):
    line = {"user": visit.user, "sku": visit.sku, "count": 2}
    requests = (
        ("stock.requests", {"type": "stocks", "sku": visit.sku}),
        ("cart.requests", {"type": "addToCart", **line}),
        ("cart.requests", {"type": "purchase", "user": visit.user}),
    )
    output = [
        await asyncio.to_thread(ask, visit, number, topic, body, tmp_path)
        for number, (topic, body) in enumerate(requests, start=1)
    ]
    await visit.check("\n".join(output))
