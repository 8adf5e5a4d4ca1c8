"""Processes under supervisord, which restarts them in the background."""

import asyncio
import os
import re
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport  # type: ignore[import-untyped]

from agents.ops.local.deployment import REPOSITORY, output_of
from topics.cli import CommandError
from topics.target import socket_path, supervisor_answers

T = TypeVar("T")

# The environment of each process of a shop has this variable, with its directory.
_MARK = "SHOP_RUN_DIR"

_STOP_SECONDS = 20
_POLL_SECONDS = 0.1
_MAX_STARTS = 4
_LAST_LINES = 15
_IDLE = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}  # supervisord leaves these stopped
_UNQUOTABLE = re.compile(r"""["\r\n]|^'|'$|\s[;#]""")

# A process that ran for `startsecs` is restarted at once after its end. A process that ends
# earlier is restarted after 1, 2, 3, … seconds, practically without limit.
# Paths of logs are relative to the shop's directory, since supervisord expands them twice.
_DAEMON = """\
; Made by agents/ops/local/processes.py.
[supervisord]
logfile=logs/supervisord.log
[unix_http_server]
file={socket}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command={command}
directory={root}
environment={environment}
priority={priority}
autostart=false
autorestart=true
startsecs=2
startretries=1000000
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


class Tier(IntEnum):
    """The order in which processes start; they stop in the reverse order."""

    KAFKA = 1
    SERVICE = 2
    GATEWAY = 3


@dataclass(frozen=True)
class Process:
    """One process, which runs in the repository's root.

    Its command stays in the foreground, with the same process id. Its environment comes in
    addition to that of the supervisor.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    tier: Tier = Tier.SERVICE


class Status(NamedTuple):
    """The state of a process, by supervisord, and its last start, in Unix seconds."""

    name: str
    pid: int
    state: str
    started: int


class Supervisor:
    """The supervisord of one shop, running or not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._socket = socket_path(directory)
        self._config = directory / "supervisord.conf"

    @property
    def is_running(self) -> bool:
        """Whether supervisord answers."""
        return supervisor_answers(self._socket)

    def start(self, processes: Iterable[Process], environment: Mapping[str, str]) -> None:
        """Start supervisord in the background, without the processes.

        Each process has the environment, in addition to its own.
        """
        self.configure(processes)
        # It answers when the command has returned.
        output_of(
            *(sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)),
            failure="supervisord does not start: ",
            cwd=self.directory,
            env={**environment, _MARK: str(self.directory)},
        )

    def configure(self, processes: Iterable[Process]) -> None:
        """Write the configuration file."""
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        self._socket.parent.mkdir(mode=0o700, exist_ok=True)
        daemon = _DAEMON.format(socket=_escaped(self._socket))
        self._config.write_text(daemon + "".join(map(_program, processes)))

    def run(self, names: Iterable[str]) -> None:
        """Start processes that do not run, without waiting until they do."""
        for name in names:
            self._call("startProcess", name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop processes at the same time, and wait for their end."""
        selected = set(names) & {status.name for status in self.statuses()}
        for name in selected:
            self._call("stopProcess", name, False)
        while any(s.name in selected and s.state not in _IDLE for s in self.statuses()):
            time.sleep(_POLL_SECONDS)

    def update(self, processes: Iterable[Process]) -> None:
        """Reload another list of processes; stop those that are gone or have changed."""
        self.configure(processes)
        [[added, changed, removed]] = self._call("reloadConfig")
        self.stop([*changed, *removed])
        for name in (*changed, *removed):
            self._call("removeProcessGroup", name)
        for name in (*changed, *added):
            self._call("addProcessGroup", name)

    def statuses(self) -> list[Status]:
        """Return the status of each process."""
        return [
            Status(info["name"], info["pid"], info["statename"], info["start"])
            for info in self._call("getAllProcessInfo")
        ]

    def shut_down(self) -> None:
        """End supervisord with its processes, and wait for its end."""
        self._call("shutdown")
        while self.is_running:
            time.sleep(_POLL_SECONDS)

    async def guard(self, work: Coroutine[None, None, T]) -> T:
        """Wait for some work, unless a process crashes repeatedly."""
        starts: dict[str, set[int]] = defaultdict(set)
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_POLL_SECONDS))[0]:
                for status in await asyncio.to_thread(self.statuses):
                    starts[status.name].add(status.started)
                    if len(starts[status.name] - {0}) >= _MAX_STARTS:
                        raise self._failure_of(status.name)
        finally:
            task.cancel()
        return task.result()

    def end_orphans(self) -> int:
        """End processes whose supervisord was killed; return their number."""
        found = self._signal_orphans(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._signal_orphans(signal.SIGKILL if time.monotonic() > deadline else 0):
            time.sleep(_POLL_SECONDS)
        return found

    def _signal_orphans(self, number: int) -> int:
        """Return the number of orphans; 0 signals none of them."""
        mark = f"{_MARK}={self.directory}".encode()
        found = 0
        # Without /proc no process is found; the start then reports a taken port.
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in environment.read_bytes().split(b"\0"):
                    os.kill(int(environment.parent.name), number)
                    found += 1
        return found

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.directory / "logs" / f"{name}.log"

    def _failure_of(self, name: str) -> CommandError:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return CommandError(f"{name} does not come up: the end of {log}:", *lines)

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except Fault as fault:
            if fault.faultCode in (Faults.ALREADY_STARTED, Faults.NOT_RUNNING):
                return None
            raise CommandError(f"supervisord: {fault.faultString}") from fault
        except (OSError, HTTPException) as error:
            raise CommandError(f"supervisord does not answer: {error}") from error


def _program(process: Process) -> str:
    pairs = process.environment.items()
    return _PROGRAM.format(
        name=process.name,
        command=_escaped(shlex.join(process.command)),
        environment=",".join(f'{name}="{_quoted(name, value)}"' for name, value in pairs),
        priority=int(process.tier),
        stop_seconds=_STOP_SECONDS,
        root=_escaped(REPOSITORY),
    )


def _quoted(name: str, value: str) -> str:
    if _UNQUOTABLE.search(value):
        raise CommandError(
            f"{name} can't be passed on: it has a double quote, a line break,"
            " a quote at an end, or a ; or # behind a space"
        )
    return _escaped(value)


def _escaped(value: object) -> str:
    """Return a value that supervisord does not expand."""
    return str(value).replace("%", "%%")
