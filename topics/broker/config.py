"""Runs a broker: writes its settings, formats its storage, and executes the JVM."""

import os
import shlex
import socket
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from topics.broker.java import CannotRunError, jars, java, run_tool

_HERE = Path(__file__).resolve().parent

# The kernel assigns ports from here on: a probe of such a port can connect to itself, so
# that the port is taken when the broker starts.
FIRST_EPHEMERAL_PORT = 32768

_DEFAULT_HEAP = "256m"
# Starts in half the time and needs half the memory; benchmarks override it.
_DEFAULT_JVM_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

_VOTERS = "controller.quorum.voters="


@dataclass(frozen=True)
class BrokerLayout:
    """The directory, the ports and the settings of a broker.

    Attributes:
        directory: has its settings, log and data.
        port: of clients, on 127.0.0.1.
        different: settings, as "name=value", that override server.properties.
    """

    directory: Path
    port: int
    controller_port: int
    different: tuple[str, ...] = ()


def run(place: BrokerLayout) -> None:
    """Replace this process by the broker; return only by an exception.

    The environment may set `KAFKA_HEAP` (256m), `KAFKA_JVM_OPTIONS`, and `KAFKA_USERS`:
    "name=password", separated by blanks, for listeners with SCRAM-SHA-512. The users are
    created together with the storage.

    Raises:
        CannotRunError: a port is taken or invalid, or there is no Java or no jars.
    """
    for port in (place.port, place.controller_port):
        require_free(port)
    command = [java(), *_jvm_options(), "-cp", str(jars() / "*")]
    place.directory.mkdir(parents=True, exist_ok=True)
    os.chdir(place.directory)
    _write_settings(place)
    _format_once(command, place)
    arguments = [*command, "kafka.Kafka", "server.properties"]
    # The process must be the JVM itself, so that its parent can signal it and await it.
    os.execv(arguments[0], arguments)


def require_free(port: int) -> None:
    """Raise CannotRunError if a broker can't listen on a port of this machine."""
    if not 0 < port < FIRST_EPHEMERAL_PORT:
        raise CannotRunError(f"port {port} must be below {FIRST_EPHEMERAL_PORT}")
    if not is_free(port):
        raise CannotRunError(f"port {port} is taken by another program")


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


def _jvm_options() -> list[str]:
    options = os.environ.get("KAFKA_JVM_OPTIONS", _DEFAULT_JVM_OPTIONS)
    heap = os.environ.get("KAFKA_HEAP", _DEFAULT_HEAP)
    logging = (_HERE / "log4j2.properties").as_uri()
    return [
        f"-Xmx{heap}",
        "-Xms64m",
        *shlex.split(options),
        f"-Dlog4j2.configurationFile={logging}",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ]


def _write_settings(place: BrokerLayout) -> None:
    template = (_HERE / "server.properties").read_text()
    settings = template.format(port=place.port, controller_port=place.controller_port)
    # The later one of two lines with the same setting counts.
    Path("server.properties").write_text("\n".join((settings, *place.different)))


def _users() -> list[str]:
    pairs = (pair.split("=", 1) for pair in os.environ.get("KAFKA_USERS", "").split())
    return [
        f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]"
        for name, password in pairs
    ]


def _cluster_id(place: BrokerLayout) -> str:
    """Return a new cluster id, which invalidates local state of other clusters.

    The nodes of a quorum compute the same id.
    """
    voters = next((line for line in place.different if line.startswith(_VOTERS)), None)
    number = uuid.uuid4() if voters is None else uuid.uuid5(uuid.NAMESPACE_URL, voters)
    # Kafka's text of a UUID; the tool would parse a leading dash as an option.
    return "A" + urlsafe_b64encode(number.bytes).decode()[1:22]


def _format_once(command: list[str], place: BrokerLayout) -> None:
    # Written last, so that an interrupted formatting is repeated.
    done = Path("formatted")
    if done.exists():
        return
    tool = [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    arguments = ["-t", _cluster_id(place), "-c", "server.properties", *_users()]
    run_tool("storage can't be formatted", *tool, *arguments)
    done.touch()
