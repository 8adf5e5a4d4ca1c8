"""A stock file is loaded on a real broker; the test itself replies as the shop."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.ops.stock import MAX_IN_FLIGHT
from tests.component.tools import at_a_terminal, begun, end, run
from tests.standins.shop import Shop
from topics.admin import check
from topics.catalog import STOCK_REQUESTS
from topics.kafka.request_reply import reply_topic
from topics.kafka.settings import KafkaSettings

THREE = ("1,1,5", "2,1,5", "3,1,5")
DONE = {"type": "done"}
AGAIN = "run the command again to load the rest: no line is loaded twice"

WriteFile = Callable[..., str]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    """Write a file of lines; return its name."""

    def write(*lines: str) -> str:
        file = tmp_path / "goods.csv"
        file.write_text("\n".join(["sku,warehouseID,count", *lines]))
        return str(file)

    return write


async def test_each_line_is_a_request_and_the_report_has_all_outcomes(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    async with begun(cluster, "stock", "load", "--yes", write_file(*THREE)) as process:
        requests = await shop.requests(3)
        for request in requests:
            no = {"type": "refused", "code": "count-too-large", "text": "full"}
            await shop.reply(request, no if request.key == b"2" else DONE)
        code, out, err = await end(process)
    assert (code, err) == (1, "")
    lines = ["line 3: refused, count-too-large (full)", "2 loaded, 1 refused"]
    assert out.decode().splitlines() == lines
    assert {request.topic for request in requests} == {STOCK_REQUESTS.name}
    skus = sorted(json.loads(request.value)["sku"] for request in requests)
    assert skus == [1, 2, 3]
    keys = {dict(request.headers)["idempotency-key"] for request in requests}
    assert {key.rpartition(b":")[2] for key in keys} == {b"2", b"3", b"4"}


async def test_the_same_file_is_the_same_requests_and_all_of_it_loaded_is_success(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    runs = []
    for _ in range(2):
        async with begun(cluster, "stock", "load", "--yes", write_file(*THREE)) as process:
            requests = await shop.requests(3)
            for request in requests:
                await shop.reply(request, DONE)
            assert await end(process) == (0, b"3 loaded\n", "")
        runs.append({(dict(r.headers)["idempotency-key"], r.value) for r in requests})
    assert runs[0] == runs[1]


async def test_bad_lines_are_skipped_on_request_and_it_is_no_success(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    words = ["stock", "load", write_file("1,1,5", "2,1,0"), "--skip-bad"]
    async with begun(cluster, *words) as process:
        await shop.reply(await shop.request(), DONE)
        code, out, err = await end(process)
    assert (code, out) == (1, b"1 loaded, 1 bad and skipped\n")
    assert err.startswith("line 3: count must be at least 1, in ")


async def test_a_file_without_lines_is_loaded_at_once(
    cluster: KafkaSettings, untouched_shop: None, write_file: WriteFile
):
    ended = await run(cluster, "stock", "load", "--yes", write_file())
    assert ended == (0, b"nothing to load\n", "")


@pytest.mark.parametrize("typed", [b"\n", b"n\n", b""])
async def test_no_yes_at_the_terminal_loads_nothing(
    cluster: KafkaSettings, untouched_shop: None, write_file: WriteFile, typed: bytes
):
    words = ["stock", "load", write_file(*THREE)]
    code, out, err = await at_a_terminal(cluster, typed or b"\x04", *words)
    assert (code, out) == (1, b"")
    question = f"Load 3 lines into {cluster.kafka}? [y/N] "
    assert err == f"{question}stock: nothing was loaded\n"


async def test_a_yes_at_the_terminal_loads(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    words = ["stock", "load", write_file(*THREE), "--patience", "1"]
    code, out, _ = await at_a_terminal(cluster, b"y\n", *words)
    assert (code, len(await shop.requests(3))) == (1, 3)
    assert b"3 unanswered" in out


async def test_without_replies_the_load_is_given_up(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    words = ["stock", "load", "--yes", write_file(*THREE), "--patience", "1"]
    code, out, _ = await run(cluster, *words)
    assert code == 1
    *lines, reason, totals, again = out.decode().splitlines()
    assert lines == [f"line {n}: unanswered" for n in (2, 3, 4)]
    assert reason == "given up: no answer in 1 s"
    assert (totals, again) == ("3 unanswered", AGAIN)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_load_reports_the_confirmed_lines_of_those_in_flight(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile, how: signal.Signals
):
    lines = [f"{n},1,5" for n in range(MAX_IN_FLIGHT + 1)]
    words = ["stock", "load", "--yes", write_file(*lines), "--patience", "600"]
    async with begun(cluster, *words) as process:
        first, *_ = await shop.requests(MAX_IN_FLIGHT)
        await shop.reply(first, DONE)
        await shop.request()  # sent after the first reply
        process.send_signal(how)
        code, out, _ = await end(process)
    assert code == 130
    totals = f"interrupted: 1 loaded, {MAX_IN_FLIGHT} in flight or not sent"
    assert out.decode().splitlines() == [totals, AGAIN]


async def test_the_reply_topic_is_created_once_with_a_short_retention(
    cluster: KafkaSettings, write_file: WriteFile
):
    words = ["stock", "load", "--yes", write_file(), "--replies", "mine.replies"]
    for _ in range(2):
        assert (await run(cluster, *words))[0] == 0
    assert await check(cluster, [reply_topic("mine.replies")]) == []


async def test_an_existing_reply_topic_is_used_as_it_is(
    cluster: KafkaSettings, shop: Shop, write_file: WriteFile
):
    words = ["stock", "load", "--yes", write_file("1,1,5"), "--replies", "stock.replies"]
    async with begun(cluster, *words) as process:
        await shop.reply(await shop.request(), DONE)
        assert await end(process) == (0, b"1 loaded\n", "")
