"""A short campaign; the full one is `make chaos`."""

from pathlib import Path

import pytest

from tests.chaos import checkpoints, dependencies, network, processes, records, recovery
from tests.chaos.campaign import campaign
from tests.chaos.fault import FAULTS

SHORT = (
    processes.kill_all_workers,
    processes.lose_a_worker,
    processes.freeze_a_worker,
    processes.tear_state,
    dependencies.step_clocks,
    records.duplicate_requests,
    records.poison,
    network.kill_the_broker,
    network.cut_the_network,
    recovery.kill_in_recovery,
    recovery.kill_the_heir,
    recovery.lose_unsynced_files,
    checkpoints.forget_requests,
)
SEED = 4


@pytest.mark.parametrize("brokers", [0, 3])
async def test_no_invariant_is_violated_under_each_fault(brokers: int, tmp_path: Path):
    faults = [one for one in FAULTS if one.inject in SHORT and one.brokers == brokers]
    assert faults

    async for done in campaign(faults, rounds=1, seed=SEED, directory=tmp_path):
        assert not done.violations, (done.fault.name, done.violations)
        assert done.operations, done.fault.name
