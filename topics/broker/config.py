"""Becoming a broker: settings, storage, and then this process is the JVM."""

import os
import shlex
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from topics.broker.jars import fetch
from topics.broker.java import CannotRunError, java

_HERE = Path(__file__).resolve().parent

# From here on the kernel hands out ports by itself: a probe of such a port can connect
# to itself, and the broker then finds it taken.
FIRST_EPHEMERAL_PORT = 32768

_DEFAULT_HEAP = "256m"
# Starts in half the time and needs half the memory; benchmarks override it.
_DEFAULT_JVM_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

_VOTERS = "controller.quorum.voters="


@dataclass(frozen=True)
class BrokerLayout:
    """Where a broker lives.

    Attributes:
        directory: its own, with settings, log and data.
        port: for clients, on 127.0.0.1.
        controller_port: for itself.
        different: settings, as "name=value", in which it is not like server.properties:
            a node of several, or one with more doors.
    """

    directory: Path
    port: int
    controller_port: int
    different: tuple[str, ...] = ()


def run(place: BrokerLayout) -> None:
    """Become the broker; returns only by an exception.

    The environment may set `KAFKA_HEAP` (256m), `KAFKA_JVM_OPTIONS`, and `KAFKA_USERS`:
    "name=password", separated by blanks, of whoever may come in by SCRAM-SHA-512 once
    a door asks for it. They are made together with the storage.

    Raises:
        CannotRunError: a port is taken or unfit, no Java or no jars to be had.
    """
    for port in (place.port, place.controller_port):
        require_free(port)
    command = [java(), *_jvm_options(), "-cp", str(fetch() / "*")]
    place.directory.mkdir(parents=True, exist_ok=True)
    os.chdir(place.directory)
    _write_settings(place)
    _format_once(command, place)
    words = [*command, "kafka.Kafka", "server.properties"]
    # The process must be the JVM itself: whoever started it knows its id and its end.
    os.execv(words[0], words)


def require_free(port: int) -> None:
    """Check that a broker can listen on a port of this machine.

    Raises:
        CannotRunError: it is taken, or in the kernel's own range.
    """
    if not 0 < port < FIRST_EPHEMERAL_PORT:
        raise CannotRunError(f"port {port} must be below {FIRST_EPHEMERAL_PORT}")
    if not is_free(port):
        raise CannotRunError(f"port {port} is taken by another program")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        # As Java does: connections of an earlier broker that linger do no harm.
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
    ports = {"port": place.port, "controller_port": place.controller_port}
    # Of two lines about the same setting the later one counts.
    settings = [template.format(**ports), *place.different]
    Path("server.properties").write_text("\n".join(settings))


def _users() -> list[str]:
    pairs = (pair.split("=", 1) for pair in os.environ.get("KAFKA_USERS", "").split())
    return [
        f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]"
        for name, password in pairs
    ]


def _cluster_id(place: BrokerLayout) -> str:
    """Return a new one, by which kept state can tell that it belongs to another cluster.

    The nodes of a quorum agree on theirs.
    """
    voters = next((one for one in place.different if one.startswith(_VOTERS)), None)
    number = uuid.uuid4() if voters is None else uuid.uuid5(uuid.NAMESPACE_URL, voters)
    # Kafka's text of a UUID; the tool would take a leading dash for an option.
    return "A" + urlsafe_b64encode(number.bytes).decode()[1:22]


def _format_once(command: list[str], place: BrokerLayout) -> None:
    # Written last, so a formatting that was broken off is done again.
    done = Path("formatted")
    if done.exists():
        return
    tool = [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    words = [*tool, "-t", _cluster_id(place), "-c", "server.properties", *_users()]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stdout + ran.stderr).strip().splitlines()
        raise CannotRunError(f"storage can't be formatted: {said[-1] if said else ''}")
    done.touch()
