"""Kafka's jars: fetched once into the cache, and verified at each start."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from topics.broker.java import CannotRunError, cache_directory, system_java, tools

_HERE = Path(__file__).resolve().parent
_POM = _HERE / "pom.xml"
_LIST = _HERE / "jars.sha256"

# jgo resolves wrong versions beneath log4j-slf4j-impl, so it brings another logger.
MAVEN_LOGGER = "log4j-slf4j-impl-2.25.5.jar"
JGO_LOGGER = "slf4j-simple-1.7.36.jar"
# jgo opens a connection for each of 250 files and loads all certificates each time. One
# session makes it five times as fast.
_JGO = """
import requests, runpy
requests.request = requests.Session().request
runpy.run_module("jgo", run_name="__main__", alter_sys=True)
"""
_JGO_ENDPOINT = "org.apache.kafka:kafka_2.13:4.4.0+org.slf4j:slf4j-simple:1.7.36"


def fetch() -> Path:
    """Return the directory of verified jars; fetch missing ones.

    Raises:
        CannotRunError: neither Maven nor jgo can fetch them, or a checksum differs.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    libs = cache / "libs"
    with _lock(cache / "lock"):
        if not libs.exists():
            _fetch_into(libs)
    verify(libs)
    return libs


def verify(libs: Path) -> None:
    """Verify the checksum of each jar.

    Raises:
        CannotRunError: a jar is missing, unknown or different.
    """
    found = {jar.name: _sha256(jar) for jar in libs.glob("*.jar")}
    expected = _checksums()
    expected.pop(JGO_LOGGER if MAVEN_LOGGER in found else MAVEN_LOGGER)
    different = sorted({name for name, _ in found.items() ^ expected.items()})
    if different:
        raise CannotRunError(
            f"jars in {libs} differ from jars.sha256 ({', '.join(different[:3])}):"
            " remove the directory and retry"
        )


def _checksums() -> dict[str, str]:
    lines = _LIST.read_text().splitlines()
    return {name: checksum for checksum, name in (line.split() for line in lines)}


def _sha256(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_into(libs: Path) -> None:
    # Renamed when complete, so that an interrupted fetch leaves no directory.
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        fetched = Path(scratch) / "libs"
        fetched.mkdir()
        if shutil.which("mvn") and system_java():
            _by_maven(fetched)
        else:
            _by_jgo(fetched, Path(scratch) / "jgo")
        verify(fetched)
        fetched.rename(libs)


def _by_maven(into: Path) -> None:
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={into}")
    _run("Maven", "mvn", "-q", "-B", "-f", str(_POM), *goal)


def _by_jgo(into: Path, scratch: Path) -> None:
    jgo = (str(tools() / "python"), "-c", _JGO, "--resolver", "python")
    caches = ("--repo-cache", f"{scratch}/repo", "--cache-dir", f"{scratch}/cache")
    _run("jgo", *jgo, *caches, "info", "jars", _JGO_ENDPOINT)
    for jar in (scratch / "cache" / "envs").rglob("*.jar"):
        shutil.copyfile(jar, into / jar.name)


def _run(name: str, *arguments: str) -> None:
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ran.returncode:
        output = (ran.stdout + ran.stderr).strip().splitlines() or [""]
        reason = next((line for line in output if "ERROR" in line), output[-1])
        raise CannotRunError(f"{name} can't fetch Kafka's jars: {reason.strip()}")
