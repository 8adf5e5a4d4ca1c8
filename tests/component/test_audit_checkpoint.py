"""Checkpoints of a shop under load, audits from them, the deletion of older requests."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import TopicPartition

from agents.ops.audit.checkpoint_files import load, save
from agents.ops.repartition.groups import commit
from schemas.contract import Item
from schemas.order import CreateOrder, PayOrder
from schemas.stock import ReceiveStock
from tests.component.audited import (
    OPEN,
    SERVICES,
    SKU,
    Place,
    a_history,
    opened,
    order,
    serving,
)
from topics.catalog import STOCK_CHANGELOG, STOCK_REQUESTS, TOPICS
from topics.kafka.reader import OffsetRange, TopicReader
from topics.topic import TopicKind

BALANCES = ("skus", "received", "available", "reserved", "written_off")
REQUESTS = [topic for topic in TOPICS if topic.kind is TopicKind.REQUESTS]
USERS = count(100)


@pytest.fixture(scope="module")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(empty_place: Place) -> Place:
    """A shop with a history, whose workers are stopped."""
    async with serving(empty_place):
        await a_history(empty_place)
    return empty_place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def checkpoint(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that was written under load; more requests followed it."""
    async with serving(place):
        async with busy(place):
            directory = tmp_path_factory.mktemp("checkpoints")
            code, output, counts = await audit(place, "--checkpoint", str(directory))
            assert code == 0, output
        await place.done()
    assert output.splitlines()[1] == f"checkpoint: {only(directory)}"
    assert counts["records"] > 0
    return only(directory)


def only(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


@asynccontextmanager
async def busy(place: Place) -> AsyncIterator[None]:
    """Receive, order and pay without a pause."""
    over = asyncio.Event()

    async def shop() -> None:
        while not over.is_set():
            user, items = next(USERS), (Item(sku=SKU, count=1),)
            await place.send(
                (ReceiveStock(sku=SKU, warehouse_id=1, count=1), f"r{user}"),
                (CreateOrder(user=user, items=items), f"c{user}"),
                (PayOrder(order_id=order(user - 1)), f"p{user}"),
            )

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop())
        yield
        over.set()


async def audit(place: Place, *options: str) -> tuple[int, str, dict]:
    return await asyncio.to_thread(place.audit, *options)


async def run(place: Place, *options: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(place.run, "--no-questions", *options)


async def ranges(place: Place) -> dict[TopicPartition, OffsetRange]:
    async with TopicReader(place.cluster) as reader:
        return await reader.offset_ranges(await reader.partitions(REQUESTS))


async def test_an_audit_from_the_checkpoint_finds_the_same_balances(
    place: Place, checkpoint: Path
):
    """With the local stores of the workers, too; and it writes the next checkpoint."""
    code, output, whole = await audit(place)
    assert code == 0, output
    stores, found = ("--stores", str(place.directory)), checkpoint.parent
    code, output, later = await audit(
        place, "--from", str(found), "--checkpoint", str(found / "next"), *stores
    )
    assert code == 0, output
    assert {name: later[name] for name in BALANCES} == {n: whole[n] for n in BALANCES}
    assert 0 < later["records"] < whole["records"]

    ran = await run(place, "--from", str(only(found / "next")))

    assert ran.returncode == 0, ran.stdout
    # No notifications run: their events are uncommitted, and read again.
    assert json.loads(ran.stdout.splitlines()[-1])["records"] < later["records"]
    shutil.rmtree(found / "next")


async def test_a_forged_row_is_found_and_gives_no_checkpoint(
    place: Place, checkpoint: Path
):
    """Its last change lies before the checkpoint: the reservation of an open order."""
    key = f"{SKU}/{order(OPEN)}".encode()
    (right,) = [(await place.snapshot_with(key)).rows[key].value]
    at = await place.forge(key, b'{"status":"released"}', ahead=0)
    whole = await run(place)
    directory = checkpoint.parent / "forged"

    ran = await run(place, "--from", str(checkpoint), "--checkpoint", str(directory))

    assert ran.returncode == 1
    assert f"{STOCK_CHANGELOG.name} row {key.decode()!r} at {at}" in ran.stdout
    assert ran.stdout.splitlines()[:-1] == whole.stdout.splitlines()[:-1]
    assert list(directory.iterdir()) == []
    directory.rmdir()
    await place.forge(key, right, ahead=0)
    assert (await run(place)).returncode == 0


@pytest.mark.parametrize("name", ["manifest.json", f"{STOCK_REQUESTS.name}-0.jsonl.gz"])
async def test_a_damaged_checkpoint_is_refused(
    place: Place, checkpoint: Path, tmp_path: Path, name: str
):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    with (copy / name).open("ab") as file:
        file.write(b" ")

    ran = await run(place, "--from", str(copy))

    assert ran.returncode == 2
    assert f"{name} is missing, or is not the file that was written" in ran.stderr
    assert ran.stderr.count("\n") == 1


async def test_a_checkpoint_of_another_cluster_is_refused(
    place: Place, checkpoint: Path, tmp_path: Path
):
    save(tmp_path, replace(load(checkpoint), cluster="elsewhere"), datetime.now(UTC))

    ran = await run(place, "--from", str(tmp_path))

    assert ran.returncode == 2
    assert "the checkpoint is of cluster elsewhere, not " in ran.stderr


@pytest.mark.parametrize("group", [*SERVICES[:1], "a-reader"])
async def test_no_request_is_deleted_while_a_group_lags(
    place: Place, checkpoint: Path, group: str
):
    """A group of the shop, or any other one."""
    before, offsets = await ranges(place), load(checkpoint).offsets
    tp = next(tp for tp in before if tp.topic == STOCK_REQUESTS.name and offsets[tp])
    assert await commit(place.cluster, group, {tp: offsets[tp] - 1})

    ran = await run(place, "--forget-before", str(checkpoint), "--yes")

    assert ran.returncode == 2
    text = f"group {group} has read {tp.topic}-{tp.partition} only up to {offsets[tp] - 1}"
    assert text in ran.stderr
    assert await ranges(place) == before
    assert await commit(place.cluster, group, {tp: before[tp].end})


async def test_without_a_terminal_no_request_is_deleted(place: Place, checkpoint: Path):
    before = await ranges(place)
    ran = await run(place, "--forget-before", str(checkpoint))
    assert ran.returncode == 2
    assert "--yes confirms" in ran.stderr
    assert await ranges(place) == before


async def test_a_shop_of_which_requests_are_deleted_works_and_can_be_audited(
    place: Place, checkpoint: Path
):
    """Also after its workers have lost their local state."""
    ran = await run(place, "--forget-before", str(checkpoint), "--yes")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    offsets, left = load(checkpoint).offsets, await ranges(place)
    assert {tp: part.begin for tp, part in left.items()} == {tp: offsets[tp] for tp in left}
    tp = next(tp for tp in left if tp.topic == STOCK_REQUESTS.name and left[tp].begin)
    at = ("--at", f"{tp.topic}-{tp.partition}={left[tp].end}")
    assert (await run(place, *at)).returncode == 2
    assert (await run(place, *at, "--from", str(checkpoint))).returncode == 0
    for service in SERVICES:
        shutil.rmtree(place.directory / f"{service}-1")

    async with serving(place):
        await place.send((PayOrder(order_id=order(OPEN)), "pay"))
        await place.send((ReceiveStock(sku=SKU, warehouse_id=1, count=1), "r0"))
        await place.done()
        code, output, counts = await audit(place, "--from", str(checkpoint))

    assert code == 0, output
    assert counts["questions"] > 0
    assert "lost its first" not in output
    ran = await run(place)
    assert "no replay of it without a checkpoint (--from)" in ran.stdout


async def test_a_log_that_begins_behind_the_checkpoint_is_refused(
    place: Place, checkpoint: Path
):
    """And no checkpoint can be written without an earlier one."""
    left = await ranges(place)
    tp = max(left, key=lambda tp: left[tp].end - left[tp].begin)
    await place.delete_records(tp, left[tp].begin + 1)

    from_it = await run(place, "--from", str(checkpoint))
    without = await run(place, "--checkpoint", str(checkpoint.parent))

    assert from_it.returncode == without.returncode == 2
    assert f"{tp.topic}-{tp.partition} lacks records" in from_it.stderr
    assert "only an audit --from a checkpoint can write one" in without.stderr
