"""The code of the previous release, before the last change of the contracts."""

import io
import subprocess
import tarfile
from pathlib import Path

from agents.ops.local.deployment import REPOSITORY


class NoHistoryError(Exception):
    """The repository has no such commit; the message has the reason."""


def unpack_previous(directory: Path) -> str:
    """Unpack the code before the last change of `schemas/`; return its commit.

    Raises:
        NoHistoryError: this is no clone, or a shallow one.
    """
    changed = _git("log", "-1", "--first-parent", "--format=%H", "--", "schemas")
    commit = _git("rev-parse", "--verify", f"{changed.decode().strip()}^").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(directory, filter="data")
    return commit


def _git(*words: str) -> bytes:
    try:
        ran = subprocess.run(
            ["git", *words], cwd=REPOSITORY, capture_output=True, check=True
        )
    except FileNotFoundError:
        raise NoHistoryError("there is no git") from None
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode().strip()
        raise NoHistoryError(f"git {' '.join(words)}: {why}") from None
    return ran.stdout
