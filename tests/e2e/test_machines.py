"""Three brokers and two machines of the shop, started by the commands of MACHINES.md.

`make two-machines` runs it in a network namespace, where it may add networks.
"""

import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.load import Load, start_load
from tests.e2e.machines import Machines
from tests.e2e.waiting import until

HAS_PARTITIONS = re.compile(r"event=ready partitions=[1-9]")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        socket.if_nameindex() != [(1, "lo")],
        reason="needs a network namespace of its own: make two-machines",
    ),
]


@pytest_asyncio.fixture(loop_scope="session")
async def machines(tmp_path: Path) -> AsyncIterator[Machines]:
    """Machines whose gateways are ready."""
    async with Machines(tmp_path).opened() as there:
        yield there


@pytest_asyncio.fixture(loop_scope="session")
async def load(machines: Machines, ids: IdFactory) -> AsyncIterator[Load]:
    """A load through both gateways."""
    kafka = Kafka(machines.cluster)
    await kafka.start()
    async with start_load(machines, kafka, [machines.balancer], ids) as there:
        yield there
    await kafka.stop()


async def test_no_request_is_lost_when_a_worker_moves_and_a_machine_dies(
    machines: Machines, load: Load
):
    first, second = machines.shops

    async def move_a_worker() -> None:
        await first.units["checkout-1"].stop()
        moved = machines.start_worker(second, "checkout", WORKER="checkout-1")
        await until(lambda: HAS_PARTITIONS.search(moved.log.read_text()), "it has moved")

    await load.during(move_a_worker, first.kill)

    totals = json.loads((await machines.administrator.run("Audit")).splitlines()[-1])
    assert totals["records"] > 0
    assert totals["questions"] > 0
    assert not [unit.name for unit in second.units.values() if unit.starts > unit.expected]
