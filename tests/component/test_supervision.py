"""Processes under a real supervisord."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.ops.local.processes import Process, Supervisor
from topics.cli import CommandError

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
PRINT = (sys.executable, "-c", "import os, time; print(os.environ['VALUE'], flush=True);")
WITHIN_SECONDS = 90.0


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    # Spaces are split and percent signs expanded without escapes; the socket is elsewhere.
    one = Supervisor(tmp_path / "100% our own" / ("long" * 20))
    yield one
    if one.is_running:
        one.shut_down()
    one.end_orphans()


def start(supervisor: Supervisor, *processes: Process) -> None:
    supervisor.start(processes, os.environ)
    supervisor.run(one.name for one in processes)


def pid_of(supervisor: Supervisor, name: str) -> int:
    return {one.name: one.pid for one in supervisor.statuses()}.get(name, 0)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and command.read_bytes() != b""  # a zombie has none


def test_the_process_id_is_that_of_the_program(supervisor: Supervisor):
    start(supervisor, Process("a", SLEEP))
    command = Path(f"/proc/{pid_of(supervisor, 'a')}/cmdline")
    until(lambda: command.read_bytes().split(b"\0")[:3] == [w.encode() for w in SLEEP])


def test_a_dead_process_is_restarted(supervisor: Supervisor):
    start(supervisor, Process("a", SLEEP))
    until(lambda: supervisor.statuses()[0].state == "RUNNING")
    first = pid_of(supervisor, "a")
    os.kill(first, signal.SIGKILL)
    until(lambda: pid_of(supervisor, "a") not in (0, first))


def test_a_process_gets_its_environment_unchanged(supervisor: Supervisor):
    value = "100% of it, with spaces"
    start(supervisor, Process("a", PRINT, {"VALUE": value}))
    log = supervisor.log("a")
    until(lambda: log.exists() and value in log.read_text())


ODD = {
    "https://hook.test/a%2Fb?sig=a%2Fb%3D&x=%(x)s&y=%(ENV_HOME)s%": True,
    "$HOME ${HOME} $$ `id` \\ \\n ~ o'brien": True,
    " пароль é ,e {f} [g];h#i =d ": True,
    "'single'": False,
    'a "double"': False,
    "a ;b": False,
    "a #b": False,
    "two\nlines\n[program:x]\ttab": False,
}
"""Values, and whether supervisord passes each to one process."""


@pytest.mark.parametrize("odd", ODD)
def test_settings_arrive_byte_for_byte_given_or_inherited(supervisor: Supervisor, odd: str):
    own = odd if ODD[odd] else ""
    code = "import os; print(*(os.environb[n].hex() for n in (b'ALL', b'OWN')), flush=True)"
    process = Process("a", (sys.executable, "-c", code), {"OWN": own})
    supervisor.start([process], {**os.environ, "ALL": odd})
    supervisor.run(["a"])
    log = supervisor.log("a")
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    received = [odd.encode().hex(), own.encode().hex()]
    assert log.read_text().splitlines()[0] == " ".join(received)


@pytest.mark.parametrize("odd", [odd for odd, is_safe in ODD.items() if not is_safe])
def test_a_setting_that_supervisord_would_change_is_refused(
    supervisor: Supervisor, odd: str
):
    with pytest.raises(CommandError, match="OWN can't be passed on") as refused:
        supervisor.configure([Process("a", SLEEP, {"OWN": odd})])
    assert odd not in str(refused.value)


def test_an_update_stops_and_starts_only_what_differs(supervisor: Supervisor):
    stays, goes, comes = (Process(name, SLEEP) for name in ("stays", "goes", "comes"))
    start(supervisor, stays, goes)
    before, gone = pid_of(supervisor, "stays"), pid_of(supervisor, "goes")
    supervisor.update([stays, comes])
    supervisor.run(["stays", "comes"])
    assert pid_of(supervisor, "stays") == before
    assert pid_of(supervisor, "comes")
    assert not is_alive(gone)
    assert {one.name for one in supervisor.statuses()} == {"stays", "comes"}


def test_stopping_waits_for_the_end(supervisor: Supervisor):
    start(supervisor, Process("a", SLEEP), Process("b", SLEEP))
    pid = pid_of(supervisor, "a")
    supervisor.stop(["a", "b"])
    assert not is_alive(pid)
    supervisor.run(["a"])
    assert pid_of(supervisor, "a")


def test_a_crash_loop_ends_the_wait_with_the_end_of_the_log(supervisor: Supervisor):
    dies = (sys.executable, "-c", "import sys; sys.exit('out of luck')")
    start(supervisor, Process("unlucky", dies))
    forever = supervisor.guard(asyncio.sleep(600))
    with pytest.raises(CommandError, match=r"unlucky does not come up: [\s\S]*out of luck"):
        asyncio.run(forever)


def test_orphans_of_a_killed_supervisor_are_ended(supervisor: Supervisor):
    start(supervisor, Process("a", SLEEP))
    until(lambda: supervisor.statuses()[0].state == "RUNNING")
    pid = pid_of(supervisor, "a")
    os.kill(int((supervisor.directory / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: not supervisor.is_running)
    assert is_alive(pid)
    assert supervisor.end_orphans() == 1
    assert not is_alive(pid)


def test_a_shop_in_another_directory_is_left_alone(supervisor: Supervisor, tmp_path: Path):
    start(supervisor, Process("a", SLEEP))
    until(lambda: supervisor.statuses()[0].state == "RUNNING")
    assert Supervisor(tmp_path / "elsewhere").end_orphans() == 0
    assert is_alive(pid_of(supervisor, "a"))
