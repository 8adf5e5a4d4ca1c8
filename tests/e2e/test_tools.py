"""Tools of whoever runs the shop, on one that runs: what is sent twice counts once."""

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

from tests.e2e.doors import HttpDoor, letter
from tests.e2e.guarded import CUSTOMER, REPLIES, GuardedShop
from tests.e2e.kafka import Kafka
from tests.e2e.letters import REPLY_PARTITION, Header, Letter
from tests.e2e.people import Fresh
from tests.e2e.scenes import cart, order, receive, status, stocks
from tests.e2e.shop import Shop

HEAD = "sku,warehouseID,count"
BAD: Header = (REPLY_PARTITION, b"one")
"""For its sake alone a record is a dead letter; a replay has another conversation."""

WITHIN_SECONDS = 120.0
MOST = 2**64 - 1

Ran = tuple[int, list[str]]
Tool = Callable[..., Awaitable[Ran]]


async def run(shop: Shop, *words: object, **different: str) -> Ran:
    """Run a tool on a shop; return its exit code and the lines that it said."""
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


async def died(kafka: Kafka, sent: Letter, topic: str) -> str:
    """Send what becomes a dead letter; return where that lies."""
    at = await kafka.send(sent)
    offset = ("dlq.offset", str(at.offset).encode())
    partition = ("dlq.partition", str(at.partition).encode())

    def is_it(record: ConsumerRecord) -> bool:
        return offset in record.headers and partition in record.headers

    [dead] = await kafka.find(topic, is_it)
    return f"{dead.topic}-{dead.partition}@{dead.offset}"


def with_bad_headers(sent: Letter) -> Letter:
    return replace(sent, headers=(*sent.headers, BAD))


async def test_a_replay_counts_once_however_often_it_is_sent(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    sku = fresh.sku()
    body = {"sku": sku, "warehouseID": 1, "count": 5}
    sent = with_bad_headers(letter("receiveStock", body))
    place = await died(kafka, sent, "stock.dlq")
    code, lines = await tool("dlq", "list", "stock.dlq")
    assert code == 0
    assert any(line.startswith(f"{place} ") and BAD[0] in line for line in lines)
    assert await stocks(http, sku) == {}
    for _ in range(2):
        code, lines = await tool("dlq", "replay", "--yes", place)
        assert (code, lines[-1]) == (0, f'{place}  done: {{"type":"done"}}')
        assert await stocks(http, sku) == {1: 5}


async def test_what_was_carried_out_meanwhile_is_not_done_again(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    user, (sku, _), key = fresh.user(), fresh.product(), fresh.key()
    await receive(http, sku, 9)
    asked = letter("addToCart", {"user": user, "sku": sku, "count": 2}, key)
    place = await died(kafka, with_bad_headers(asked), "cart.dlq")
    await kafka.ask(asked)
    code, lines = await tool("dlq", "replay", "--yes", place)
    assert (code, lines[-1]) == (0, f'{place}  done: {{"type":"done"}}')
    assert await cart(http, user) == {sku: 2}


async def test_several_replays_with_and_without_a_key_are_several_requests(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(http, sku, 9)
    body = {"user": user, "sku": sku, "count": 2}
    asked = [letter("addToCart", body), letter("addToCart", body, fresh.key())]
    places = [await died(kafka, with_bad_headers(one), "cart.dlq") for one in asked]
    for _ in range(2):
        assert (await tool("dlq", "replay", "--yes", *places))[0] == 0
    assert await cart(http, user) == {sku: 4}


async def test_a_purchase_is_answered_to_whoever_replays_it(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    user, (sku, _) = fresh.user(), fresh.product()
    await receive(http, sku, 3)
    await http.do("addToCart", user=user, sku=sku, count=3)
    sent = with_bad_headers(letter("purchase", {"user": user}))
    place = await died(kafka, sent, "cart.dlq")
    told = [(await tool("dlq", "replay", "--yes", place))[1][-1] for _ in range(2)]
    assert told[0] == told[1]
    bought = json.loads(told[0].partition("done: ")[2])["orderID"]
    assert await status(http, bought) == "awaiting payment"
    assert await stocks(http, sku) == {}


async def test_where_the_state_refuses_so_is_the_replay(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    user, sku = fresh.user(), fresh.sku()
    await receive(http, sku, 1)
    number = await order(http, user, {sku: 1})
    sent = with_bad_headers(letter("cancelOrder", {"orderID": number}))
    place = await died(kafka, sent, "order.dlq")
    await http.do("orderPayed", orderID=number)
    code, lines = await tool("dlq", "replay", "--yes", place)
    assert code == 1
    assert lines[-1].startswith(f"{place}  refused: wrong-status (")
    assert await status(http, number) == "paid"


async def test_what_is_still_poison_dies_again_and_is_still_the_same(
    kafka: Kafka, fresh: Fresh, tool: Tool
):
    mark = ("mark", fresh.key().encode())
    sent = Letter("cart.requests", b"hello\xff", b"1", (mark, ("y", None)))
    place = await died(kafka, sent, "cart.dlq")
    code, lines = await tool("dlq", "replay", "--yes", place)
    assert code == 1
    assert f"{place}  dead again: cart.dlq-" in lines[-1]
    *_, again = await kafka.find("cart.dlq", lambda r: mark in r.headers, 2)
    assert (again.key, again.value) == (sent.key, sent.value)
    assert f"-{again.partition}@{again.offset}: value is not JSON: " in lines[-1]


async def test_what_nobody_need_answer_is_done_when_it_has_been_taken(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    sku = fresh.sku()
    await receive(http, sku, 2)
    number = await order(http, fresh.user(), {sku: 2})
    await http.do("cancelOrder", orderID=number)
    value = json.dumps({"type": "release", "sku": sku, "orderID": number}).encode()
    sent = Letter("stock.requests", value, str(sku).encode(), (BAD,))
    place = await died(kafka, sent, "stock.dlq")
    code, lines = await tool("dlq", "replay", "--yes", place)
    assert code == 0
    assert f"{place}  done: loms committed stock.requests-" in lines[-1]
    assert await stocks(http, sku) == {1: 2}


async def test_a_notice_that_was_sent_is_not_sent_again(
    kafka: Kafka, http: HttpDoor, fresh: Fresh, tool: Tool
):
    sku = fresh.sku()
    await receive(http, sku, 1)
    number = await order(http, fresh.user(), {sku: 1})
    event = f"{number}:awaiting payment".encode()
    fact, *_ = await kafka.find("order.events", lambda r: ("event-id", event) in r.headers)
    await kafka.find("notifications-sent-changelog", lambda r: r.key == event)
    sent = Letter(fact.topic, fact.value, fact.key, (*fact.headers, BAD))
    place = await died(kafka, sent, "notifications.dlq")
    code, lines = await tool("dlq", "replay", "--yes", place)
    assert code == 1
    settled = f"refused: not replayed: notification {event.decode()} was settled: sent"
    assert lines[-1] == f"{place}  {settled}"


async def test_a_delivery_is_loaded_once_however_often_it_is_run(
    http: HttpDoor, fresh: Fresh, tool: Tool, tmp_path: Path
):
    file = tmp_path / "goods.csv"
    skus = [fresh.sku() for _ in range(600)]
    lines = [f"{sku},{sku % 3 + 1},{n}" for n, sku in enumerate(skus, start=1)]
    file.write_text("\n".join([HEAD, *lines, lines[0]]))
    for _ in range(2):
        assert await tool("stock", "load", "--yes", file) == (0, ["601 loaded"])
        assert await stocks(http, skus[0]) == {skus[0] % 3 + 1: 2}
        assert await stocks(http, skus[-1]) == {skus[-1] % 3 + 1: 600}


async def test_lines_that_stock_refuses_are_named_and_the_others_are_loaded(
    http: HttpDoor, fresh: Fresh, tool: Tool, tmp_path: Path
):
    full, other = fresh.sku(), fresh.sku()
    await receive(http, full, MOST)
    rows = [
        {"sku": sku, "warehouseID": 1, "count": count}
        for sku, count in ((other, 1), (full, 1), (other, MOST - 1))
    ]
    file = tmp_path / "goods.json"
    file.write_text(json.dumps(rows))
    code, (refused, told) = await tool("stock", "load", "--yes", file)
    assert code == 1
    assert refused.startswith("line 2: refused, count-too-large (")
    assert told == "2 loaded, 1 refused"
    assert await stocks(http, other) == {1: MOST}
    assert await stocks(http, full) == {1: MOST}


async def test_a_delivery_needs_no_other_rights_than_those_of_a_customer(
    guarded: GuardedShop, guarded_http: HttpDoor, admin: Kafka, tmp_path: Path
):
    file, sku = tmp_path / "goods.csv", 4_000_000_001
    file.write_text(f"{HEAD}\n{sku},1,5\n")
    words = ("stock", "load", "--yes", file, "--replies", REPLIES)
    assert await run(guarded, *words, **guarded.login(CUSTOMER)) == (0, ["1 loaded"])
    assert await stocks(guarded_http, sku) == {1: 5}


async def test_whoever_is_not_let_in_is_told_so_in_one_line(guarded: GuardedShop):
    wrong = guarded.login(CUSTOMER) | {"KAFKA_SASL_PASSWORD": "a-wrong-password"}
    code, [line] = await run(guarded, "dlq", "list", **wrong)
    assert code == 1
    assert line.startswith("dlq: Kafka at ")
    assert "Authentication failed" in line
