"""A broker's process: its port, its settings, its storage, and the JVM."""

import os
import shlex
import socket
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from topics.broker.java import CannotRunError, jars, java, run_tool

# The kernel assigns ports from here on: a probe of such a port can connect to itself, so
# that the port is taken when the broker starts.
FIRST_EPHEMERAL_PORT = 32768

_DEFAULT_HEAP = "256m"
# Starts in half the time and needs half the memory.
_DEFAULT_JVM_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

_VOTERS = "controller.quorum.voters="
_HERE = Path(__file__).resolve().parent


def is_free(port: int) -> bool:
    """Return whether a port of this machine is free."""
    with socket.socket() as probe:
        # As Java does, so that closed connections of an earlier broker do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def run(directory: Path, port: int, overrides: Sequence[str]) -> None:
    """Replace this process by the broker; return only by an exception.

    The environment may set `KAFKA_HEAP` (256m), `KAFKA_JVM_OPTIONS`, and `KAFKA_USERS`:
    "name=password", separated by blanks, for listeners with SCRAM-SHA-512. The users are
    created together with the storage.

    Args:
        directory: of its settings, log and data.
        port: of clients; the controller has the next one.
        overrides: settings, as "name=value", that override server.properties.

    Raises:
        CannotRunError: a port is taken or invalid, or there is no Java or no jars.
    """
    for needed in (port, port + 1):
        require_free(needed)
    command = [java(), *_jvm_options(), "-cp", str(jars() / "*")]
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    template = (_HERE / "server.properties").read_text()
    settings = template.format(port=port, controller_port=port + 1)
    # The later one of two lines with the same setting counts.
    Path("server.properties").write_text("\n".join((settings, *overrides)))
    _format_once(command, overrides)
    arguments = [*command, "kafka.Kafka", "server.properties"]
    # The process must be the JVM itself, so that its parent can signal it and await it.
    os.execv(arguments[0], arguments)


def require_free(port: int) -> None:
    """Raise CannotRunError if a broker can't listen on a port of this machine."""
    if not 0 < port < FIRST_EPHEMERAL_PORT:
        raise CannotRunError(f"port {port} must be below {FIRST_EPHEMERAL_PORT}")
    if not is_free(port):
        raise CannotRunError(f"port {port} is taken by another program")


def _jvm_options() -> list[str]:
    return [
        f"-Xmx{os.environ.get('KAFKA_HEAP', _DEFAULT_HEAP)}",
        "-Xms64m",
        *shlex.split(os.environ.get("KAFKA_JVM_OPTIONS", _DEFAULT_JVM_OPTIONS)),
        f"-Dlog4j2.configurationFile={(_HERE / 'log4j2.properties').as_uri()}",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ]


def _format_once(command: Sequence[str], overrides: Sequence[str]) -> None:
    # Written last, so that an interrupted formatting is repeated.
    done = Path("formatted")
    if done.exists():
        return
    tool = [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    arguments = ["-t", _cluster_id(overrides), "-c", "server.properties"]
    for user in os.environ.get("KAFKA_USERS", "").split():
        name, password = user.split("=", 1)
        arguments.append(f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]")
    run_tool("storage can't be formatted", *tool, *arguments)
    done.touch()


def _cluster_id(overrides: Sequence[str]) -> str:
    """Return a new cluster id, which invalidates local state of other clusters.

    The nodes of a quorum compute the same id.
    """
    voters = next((line for line in overrides if line.startswith(_VOTERS)), None)
    number = uuid.uuid4() if voters is None else uuid.uuid5(uuid.NAMESPACE_URL, voters)
    # Kafka's text of a UUID; the tool would parse a leading dash as an option.
    return "A" + urlsafe_b64encode(number.bytes).decode()[1:22]
