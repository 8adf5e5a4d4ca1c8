"""NestJS' ClientKafka, with two of its methods overridden: see client.mjs."""

import asyncio
from pathlib import Path

import pytest

from tests.clients.conftest import Visit
from tests.programs import npm_ci, run

CLIENT_SECONDS = 240.0


@pytest.fixture
def nest(tmp_path: Path) -> Path:
    """The client with its packages."""
    return npm_ci(Path(__file__).parent / "nest", tmp_path)


async def test_nest(nest: Path, visit: Visit):
    words = ("node", "client.mjs", *visit.words)
    said = await asyncio.to_thread(run, *words, within=CLIENT_SECONDS, here=nest)
    await visit.came_off(said)
