"""Faults of dependencies: disks, clocks, ProductService, the mail server."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from tests.chaos.clocks import step
from tests.chaos.environment import STEPPED, Environment
from tests.chaos.fault import NotPossibleError, fault
from tests.chaos.processes import SCALED, any_worker

DISK = "24m"
SECONDS_SLOW = 1.5
FAILURES = 30
A_DAY = 86_400


@fault("disk full under a worker", lasting=True)
async def fill_the_disk(environment: Environment) -> AsyncIterator[None]:
    """After a crash it can't start; another worker takes over until space is free again."""
    victim = any_worker(environment, environment.random.choice(SCALED))
    await victim.crash(permanently=True)
    _mount(victim.state_dir)
    victim.start()
    await environment.shop.ready()
    filler = victim.state_dir / "filler"
    _fill(filler)
    await victim.crash()
    yield
    filler.unlink()
    await environment.shop.ready()
    await victim.crash(permanently=True)
    _run("umount", str(victim.state_dir))
    victim.start()


def _mount(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(directory))


def _run(*words: str) -> None:
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NotPossibleError(ran.stderr.strip())


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@fault("clock of workers stepped by a day", lasting=True)
async def step_clocks(environment: Environment) -> AsyncIterator[None]:
    """Forwards or backwards; no order runs out of time."""
    seconds = environment.random.choice((A_DAY, -A_DAY))
    for name in STEPPED:
        step(environment.shop.clock(name), seconds)
    yield
    for name in STEPPED:
        step(environment.shop.clock(name), 0)


@fault("ProductService slow and failing", lasting=True)
async def fail_product_service(environment: Environment) -> AsyncIterator[None]:
    """Carts are delayed or refused, and no other request."""
    await environment.products.fail_next(FAILURES)
    async with environment.products.slow(SECONDS_SLOW):
        yield


@fault("mail server failing, then away", lasting=True)
async def fail_mail_server(environment: Environment) -> AsyncIterator[None]:
    """Notifications are delayed, and none is lost."""
    environment.mails.answers.extend(["451 4.3.0 later"] * FAILURES)
    await environment.mails.stop()
    yield
    await environment.mails.start(environment.mails.port)
