"""Operators' tools on a running shop: a request that is sent twice counts once."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord

from tests.e2e.clients import HttpClient, as_record
from tests.e2e.guarded import CUSTOMER, REPLIES, GuardedShop
from tests.e2e.ids import IdFactory
from tests.e2e.kafka import Kafka
from tests.e2e.records import REPLY_PARTITION, Header, Record
from tests.e2e.shop import Shop
from tests.e2e.steps import cart, order, receive, status, stocks

HEAD = "sku,warehouseID,count"
BAD: Header = (REPLY_PARTITION, b"one")
"""The only error of a record: it becomes a dead letter, but its replay does not."""

WITHIN_SECONDS = 120.0
MAX_STOCK = 2**64 - 1

Ran = tuple[int, list[str]]
Tool = Callable[..., Awaitable[Ran]]


async def run(shop: Shop, *words: object, **different: str) -> Ran:
    """Run a tool on a shop; return its exit code and its lines of output."""
    own = {"KAFKA": shop.kafka, "PARTITIONS": str(shop.partitions)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents", *map(str, words)),
        env=os.environ | own | different,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(WITHIN_SECONDS):
        out, _ = await process.communicate()
    first, *lines = out.decode().splitlines()
    assert first == f"{words[0]}: Kafka at {shop.kafka}, the cluster of KAFKA"
    return process.returncode, lines


@pytest.fixture
def tool(shop: Shop) -> Tool:
    """Run a tool on this shop."""
    return partial(run, shop)


async def dead_letter_of(kafka: Kafka, sent: Record, topic: str) -> str:
    """Send a record that becomes a dead letter; return the location of that."""
    at = await kafka.send(sent)
    offset = ("dlq.offset", str(at.offset).encode())
    partition = ("dlq.partition", str(at.partition).encode())

    def is_it(record: ConsumerRecord) -> bool:
        return offset in record.headers and partition in record.headers

    [dead] = await kafka.find(topic, is_it)
    return f"{dead.topic}-{dead.partition}@{dead.offset}"


def with_bad_headers(sent: Record) -> Record:
    return replace(sent, headers=(*sent.headers, BAD))


async def test_a_replay_counts_once_however_often_it_is_sent(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    sku = ids.sku()
    body = {"sku": sku, "warehouseID": 1, "count": 5}
    sent = with_bad_headers(as_record("receiveStock", body))
    location = await dead_letter_of(kafka, sent, "stock.dlq")
    code, lines = await tool("dlq", "list", "stock.dlq")
    assert code == 0
    assert any(line.startswith(f"{location} ") and BAD[0] in line for line in lines)
    assert await stocks(http, sku) == {}
    for _ in range(2):
        code, lines = await tool("dlq", "replay", "--yes", location)
        assert (code, lines[-1]) == (0, f'{location}  done: {{"type":"done"}}')
        assert await stocks(http, sku) == {1: 5}


async def test_a_request_that_was_carried_out_meanwhile_is_not_repeated(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _), key = ids.user(), ids.product(), ids.key()
    await receive(http, sku, 9)
    request = as_record("addToCart", {"user": user, "sku": sku, "count": 2}, key)
    location = await dead_letter_of(kafka, with_bad_headers(request), "cart.dlq")
    await kafka.ask(request)
    code, lines = await tool("dlq", "replay", "--yes", location)
    assert (code, lines[-1]) == (0, f'{location}  done: {{"type":"done"}}')
    assert await cart(http, user) == {sku: 2}


async def test_several_replays_with_and_without_a_key_are_several_requests(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 9)
    body = {"user": user, "sku": sku, "count": 2}
    requests = [as_record("addToCart", body), as_record("addToCart", body, ids.key())]
    locations = [
        await dead_letter_of(kafka, with_bad_headers(each), "cart.dlq") for each in requests
    ]
    for _ in range(2):
        assert (await tool("dlq", "replay", "--yes", *locations))[0] == 0
    assert await cart(http, user) == {sku: 4}


async def test_the_reply_to_a_replayed_purchase_comes_to_the_tool(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    user, (sku, _) = ids.user(), ids.product()
    await receive(http, sku, 3)
    await http.do("addToCart", user=user, sku=sku, count=3)
    sent = with_bad_headers(as_record("purchase", {"user": user}))
    location = await dead_letter_of(kafka, sent, "cart.dlq")
    results = [(await tool("dlq", "replay", "--yes", location))[1][-1] for _ in range(2)]
    assert results[0] == results[1]
    bought = json.loads(results[0].partition("done: ")[2])["orderID"]
    assert await status(http, bought) == "awaiting payment"
    assert await stocks(http, sku) == {}


async def test_a_replay_is_refused_where_the_state_refuses_it(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    user, sku = ids.user(), ids.sku()
    await receive(http, sku, 1)
    number = await order(http, user, {sku: 1})
    sent = with_bad_headers(as_record("cancelOrder", {"orderID": number}))
    location = await dead_letter_of(kafka, sent, "order.dlq")
    await http.do("orderPayed", orderID=number)
    code, lines = await tool("dlq", "replay", "--yes", location)
    assert code == 1
    assert lines[-1].startswith(f"{location}  refused: wrong-status (")
    assert await status(http, number) == "paid"


async def test_an_invalid_record_is_dead_again_with_the_same_bytes(
    kafka: Kafka, ids: IdFactory, tool: Tool
):
    mark = ("mark", ids.key().encode())
    sent = Record("cart.requests", b"hello\xff", b"1", (mark, ("y", None)))
    location = await dead_letter_of(kafka, sent, "cart.dlq")
    code, lines = await tool("dlq", "replay", "--yes", location)
    assert code == 1
    assert f"{location}  dead again: cart.dlq-" in lines[-1]
    *_, again = await kafka.find("cart.dlq", lambda r: mark in r.headers, 2)
    assert (again.key, again.value) == (sent.key, sent.value)
    assert f"-{again.partition}@{again.offset}: value is not JSON: " in lines[-1]


async def test_a_request_without_a_reply_is_done_when_it_is_committed(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    sku = ids.sku()
    await receive(http, sku, 2)
    number = await order(http, ids.user(), {sku: 2})
    await http.do("cancelOrder", orderID=number)
    value = json.dumps({"type": "release", "sku": sku, "orderID": number}).encode()
    sent = Record("stock.requests", value, str(sku).encode(), (BAD,))
    location = await dead_letter_of(kafka, sent, "stock.dlq")
    code, lines = await tool("dlq", "replay", "--yes", location)
    assert code == 0
    assert f"{location}  done: loms committed stock.requests-" in lines[-1]
    assert await stocks(http, sku) == {1: 2}


async def test_a_notification_that_was_sent_is_not_sent_again(
    kafka: Kafka, http: HttpClient, ids: IdFactory, tool: Tool
):
    sku = ids.sku()
    await receive(http, sku, 1)
    number = await order(http, ids.user(), {sku: 1})
    event_id = f"{number}:awaiting payment".encode()
    event, *_ = await kafka.find(
        "order.events", lambda r: ("event-id", event_id) in r.headers
    )
    await kafka.find("notifications-sent-changelog", lambda r: r.key == event_id)
    sent = Record(event.topic, event.value, event.key, (*event.headers, BAD))
    location = await dead_letter_of(kafka, sent, "notifications.dlq")
    code, lines = await tool("dlq", "replay", "--yes", location)
    assert code == 1
    settled = f"refused: not replayed: notification {event_id.decode()} was settled: sent"
    assert lines[-1] == f"{location}  {settled}"


async def test_a_stock_file_is_loaded_once_however_often_the_tool_runs(
    http: HttpClient, ids: IdFactory, tool: Tool, tmp_path: Path
):
    file = tmp_path / "goods.csv"
    skus = [ids.sku() for _ in range(600)]
    lines = [f"{sku},{sku % 3 + 1},{n}" for n, sku in enumerate(skus, start=1)]
    file.write_text("\n".join([HEAD, *lines, lines[0]]))
    for _ in range(2):
        assert await tool("stock", "load", "--yes", file) == (0, ["601 loaded"])
        assert await stocks(http, skus[0]) == {skus[0] % 3 + 1: 2}
        assert await stocks(http, skus[-1]) == {skus[-1] % 3 + 1: 600}


async def test_lines_that_stock_refuses_are_named_and_the_others_are_loaded(
    http: HttpClient, ids: IdFactory, tool: Tool, tmp_path: Path
):
    full, other = ids.sku(), ids.sku()
    await receive(http, full, MAX_STOCK)
    rows = [
        {"sku": sku, "warehouseID": 1, "count": count}
        for sku, count in ((other, 1), (full, 1), (other, MAX_STOCK - 1))
    ]
    file = tmp_path / "goods.json"
    file.write_text(json.dumps(rows))
    code, (refused, totals) = await tool("stock", "load", "--yes", file)
    assert code == 1
    assert refused.startswith("line 2: refused, count-too-large (")
    assert totals == "2 loaded, 1 refused"
    assert await stocks(http, other) == {1: MAX_STOCK}
    assert await stocks(http, full) == {1: MAX_STOCK}


async def test_a_load_needs_only_the_rights_of_a_customer(
    guarded: GuardedShop, guarded_http: HttpClient, admin: Kafka, tmp_path: Path
):
    file, sku = tmp_path / "goods.csv", 4_000_000_001
    file.write_text(f"{HEAD}\n{sku},1,5\n")
    words = ("stock", "load", "--yes", file, "--replies", REPLIES)
    assert await run(guarded, *words, **guarded.login(CUSTOMER)) == (0, ["1 loaded"])
    assert await stocks(guarded_http, sku) == {1: 5}


async def test_a_refused_login_is_an_error_of_one_line(guarded: GuardedShop):
    wrong = guarded.login(CUSTOMER) | {"KAFKA_SASL_PASSWORD": "a-wrong-password"}
    code, [line] = await run(guarded, "dlq", "list", **wrong)
    assert code == 1
    assert line.startswith("dlq: Kafka at ")
    assert "Authentication failed" in line
