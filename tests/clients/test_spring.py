"""Spring's unmodified ReplyingKafkaTemplate."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.programs import need, run
from topics.broker.java import system_java

HERE = Path(__file__).parent / "spring"
MAVEN_SECONDS = 300.0
CLIENT_SECONDS = 240.0


@pytest.fixture
def spring(tmp_path: Path) -> Path:
    """The jars and the client."""
    need("mvn")
    if system_java() is None:
        pytest.skip("no Java 17 or newer here")
    there = shutil.copytree(HERE, tmp_path / "spring")
    copy = ("dependency:copy-dependencies", "-DoutputDirectory=libs")
    run("mvn", "-q", "-B", *copy, within=MAVEN_SECONDS, here=there)
    return there


async def test_spring(spring: Path, visit: Visit):
    words = (system_java(), "-cp", "libs/*", "ShopClient.java", *visit.words)
    output = await asyncio.to_thread(run, *words, within=CLIENT_SECONDS, here=spring)
    await visit.check(output)
