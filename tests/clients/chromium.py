"""A real Chromium that runs a script, and prints its observations."""

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
_BLANK_BYTES = 20_000  # an empty page of this size takes a quarter of that


@dataclass(frozen=True)
class Chromium:
    """The browser with its scripts.

    Attributes:
        executable: the path of the browser.
        here: the directory of the scripts, their packages and the pictures.
    """

    executable: str
    here: Path

    async def play(self, scene: str, *words: str) -> dict[str, Any]:
        """Run a script; return its output. The browser may contact no other host."""
        command = ("node", scene, self.executable, *words)
        output = await asyncio.to_thread(
            run, *command, within=WITHIN_SECONDS, here=self.here
        )
        seen = json.loads(output)
        assert seen["hosts"] == ["127.0.0.1"]
        return seen

    def pictures(self) -> list[str]:
        """Return the names of all pictures; none may be empty."""
        found = sorted(self.here.glob("*.png"))
        for picture in found:
            content = picture.read_bytes()
            assert content.startswith(_PNG)
            assert len(content) > _BLANK_BYTES, picture
        return [picture.stem for picture in found]


def chromium(directory: Path) -> Chromium:
    """Install the packages; skip the test without Chromium or npm."""
    executable = need_one(*_NAMES)
    return Chromium(executable, npm_ci(_PROGRAMS, directory))
