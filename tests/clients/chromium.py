"""A real Chromium that is told what to do, and tells what it saw."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs import need_one, npm_ci, run

WITHIN_SECONDS = 240.0
_PROGRAMS = Path(__file__).parent / "browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PNG = b"\x89PNG\r\n\x1a\n"
_BLANK_BYTES = 20_000  # a page of this size with nothing on it takes a quarter of that


@dataclass(frozen=True)
class Chromium:
    """The browser, and what steers it.

    Attributes:
        executable: the program.
        here: where the scenes and their packages are; pictures go there too.
    """

    executable: str
    here: Path

    async def play(self, scene: str, *words: str) -> dict[str, Any]:
        """Play a scene; return what it saw. The browser must have asked nobody else."""
        command = ("node", scene, self.executable, *words)
        said = await asyncio.to_thread(run, *command, within=WITHIN_SECONDS, here=self.here)
        seen = json.loads(said)
        assert seen["hosts"] == ["127.0.0.1"]
        return seen

    def pictures(self) -> list[str]:
        """Return the names of all pictures; there must be something to see on each."""
        found = sorted(self.here.glob("*.png"))
        for picture in found:
            content = picture.read_bytes()
            assert content.startswith(_PNG)
            assert len(content) > _BLANK_BYTES, picture
        return [picture.stem for picture in found]


def chromium(directory: Path) -> Chromium:
    """Prepare it; skips the test where there is no Chromium or no npm."""
    executable = need_one(*_NAMES)
    return Chromium(executable, npm_ci(_PROGRAMS, directory))
