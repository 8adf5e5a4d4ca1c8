"""supervisord, which restarts the processes of a shop in the background."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport  # type: ignore[import-untyped]

from agents.ops.local.deployment import REPOSITORY, ShopError
from agents.ops.local.processes import Process
from topics.running_shop import socket_path, supervisor_answers

STOP_SECONDS = 20
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1
_UNQUOTABLE = re.compile(r"""["\r\n]|^'|'$|\s[;#]""")

# A process that ran for `startsecs` is restarted at once after its end. A process that ends
# earlier is restarted after 1, 2, 3, … seconds, practically without limit.
# Log paths are relative, since supervisord expands them twice.
_DAEMON = """\
; Made by agents/ops/local/supervision.py.
[supervisord]
directory={run}
logfile={run}/logs/supervisord.log
pidfile={run}/supervisord.pid
childlogdir={run}/logs
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
stopsignal=TERM
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""


@dataclass(frozen=True)
class Status:
    """The status of a process.

    Attributes:
        state: of supervisord, such as RUNNING, BACKOFF or FATAL.
        started: the time of the last start, seconds since the epoch.
    """

    name: str
    pid: int
    state: str
    started: int

    @property
    def is_idle(self) -> bool:
        """Whether supervisord leaves it stopped."""
        return self.state in {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}

    @property
    def is_up(self) -> bool:
        """Whether it runs, or will be restarted."""
        return self.state in {"STARTING", "RUNNING", "BACKOFF"}


class Supervisor:
    """The supervisord of one shop, running or not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = socket_path(directory)

    @property
    def is_running(self) -> bool:
        """Whether supervisord answers."""
        return supervisor_answers(self.socket)

    def start(self, processes: Iterable[Process], environment: dict[str, str]) -> None:
        """Start supervisord in the background, without the processes.

        Args:
            processes: the processes to supervise.
            environment: of all processes, in addition to their own.

        Raises:
            ShopError: supervisord does not start.
        """
        self.configure(processes)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
        ran = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running:
            if ran.returncode or time.monotonic() > deadline:
                raise ShopError(f"supervisord does not start: {ran.stderr.strip()}")
            time.sleep(_POLL_SECONDS)

    def configure(self, processes: Iterable[Process]) -> None:
        """Write the configuration file."""
        for name in ("logs", "state"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        places = {"run": _escaped(self.directory), "socket": _escaped(self.socket)}
        programs = (_program(process) for process in processes)
        self._config.write_text(_DAEMON.format(**places) + "".join(programs))

    def run(self, names: Iterable[str]) -> None:
        """Start idle processes, without waiting until they run."""
        idle = {status.name for status in self.statuses() if status.is_idle}
        for name in names:
            if name in idle:
                self._call("startProcess", name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop processes at the same time, and wait for their end."""
        selected = set(names)
        for status in self.statuses():
            if status.name in selected and status.is_up:
                self._call("stopProcess", status.name, False)
        while any(not s.is_idle for s in self.statuses() if s.name in selected):
            time.sleep(_POLL_SECONDS)

    def update(self, processes: Iterable[Process]) -> list[str]:
        """Reload another list of processes; return the names of new and changed ones."""
        self.configure(processes)
        [[added, changed, removed]] = self._call("reloadConfig")
        self.stop([*changed, *removed])
        for name in (*changed, *removed):
            self._call("removeProcessGroup", name)
        for name in (*changed, *added):
            self._call("addProcessGroup", name)
        return [*changed, *added]

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

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.directory / "logs" / f"{name}.log"

    @property
    def _config(self) -> Path:
        return self.directory / "supervisord.conf"

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except Fault as fault:
            # The process ended just before the stop.
            if fault.faultCode == Faults.NOT_RUNNING:
                return None
            raise ShopError(f"supervisord: {fault.faultString}") from fault
        except (OSError, HTTPException) as error:
            raise ShopError(f"supervisord does not answer: {error}") from error


def _program(process: Process) -> str:
    pairs = process.environment.items()
    return _PROGRAM.format(
        name=process.name,
        command=_escaped(shlex.join(process.command)),
        environment=",".join(f'{name}="{_quoted(name, value)}"' for name, value in pairs),
        priority=int(process.tier),
        stop_seconds=STOP_SECONDS,
        root=_escaped(REPOSITORY),
    )


def _quoted(name: str, value: str) -> str:
    """Return a value for use between double quotes.

    Raises:
        ShopError: the value has characters that supervisord can't escape.
    """
    if _UNQUOTABLE.search(value):
        raise ShopError(
            f"{name} can't be passed on: it has a double quote, a line break,"
            " a quote at an end, or a ; or # behind a space"
        )
    return _escaped(value)


def _escaped(value: object) -> str:
    """Return a value that supervisord does not expand."""
    return str(value).replace("%", "%%")
