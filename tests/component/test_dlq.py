"""Dead letters on a real broker: listed, shown, replayed; the test itself is the shop."""

import os

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from tests.component.tools import at_a_terminal, begun, end, run
from tests.standins.shop import Shop
from tests.unit.dead_letters import REASON, dead_letter, record
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS
from topics.kafka.location import RecordLocation
from topics.kafka.settings import KafkaSettings

DONE = {"type": "done"}


async def produce(cluster: KafkaSettings, dead: ConsumerRecord) -> RecordLocation:
    """Send a dead letter; return its location."""
    async with AIOKafkaProducer(bootstrap_servers=cluster.kafka) as producer:
        sent = await producer.send_and_wait(
            dead.topic, dead.value, key=dead.key, headers=list(dead.headers)
        )
    return RecordLocation(sent.topic, sent.partition, sent.offset)


async def test_the_newest_dead_letters_are_listed_the_last_one_last(cluster: KafkaSettings):
    locations = [
        await produce(cluster, dead_letter(b"%d" % n, b"%d" % n)) for n in range(5)
    ]
    code, out, _ = await run(cluster, "dlq", "list", "cart.dlq", "--last", "3")
    assert code == 0
    lines = out.decode().splitlines()
    assert [line.split()[0] for line in lines] == [
        str(location) for location in locations[-3:]
    ]
    assert all(line.endswith(f"from cart.requests-1@42  {REASON}") for line in lines)


async def test_all_dead_letter_topics_are_listed_unless_one_is_named(
    cluster: KafkaSettings,
):
    found = {
        source: await produce(cluster, dead_letter(source=source))
        for source in (CART_REQUESTS, ORDER_REQUESTS)
    }
    code, out, _ = await run(cluster, "dlq", "list")
    assert code == 0
    assert all(f"{location} " in out.decode() for location in found.values())
    _, out, _ = await run(cluster, "dlq", "list", "order.dlq")
    assert f"{found[ORDER_REQUESTS]} " in out.decode()
    assert "cart.dlq" not in out.decode()


async def test_a_reader_of_the_first_line_only_breaks_nothing(cluster: KafkaSettings):
    for _ in range(2):
        await produce(cluster, dead_letter())
    reader, writer = os.pipe()
    async with begun(cluster, "dlq", "list", stdout=writer) as process:
        os.close(writer)
        os.close(reader)
        assert (await end(process))[::2] == (0, "")


async def test_a_dead_letter_is_shown_with_headers_key_and_value(cluster: KafkaSettings):
    value = b'{"type": "addToCart"}'
    location = await produce(
        cluster, dead_letter(value, b"17", (("x", b"\xff"), ("y", None)))
    )
    code, out, _ = await run(cluster, "dlq", "show", str(location))
    assert code == 0
    lines = out.decode().splitlines()
    assert lines[0] == str(location)
    assert {
        "  from     cart.requests-1@42",
        f"  reason   {REASON}",
        "  key      17",
        "    x: 0xff",
        "    y: null",
        "    dlq.offset: 42",
        f"  value    {len(value)} bytes, JSON",
    } <= set(lines)
    assert lines[-1] == value.decode()


@pytest.mark.parametrize("value", [b"\xff\0\r\n", b"\x1b[2Jhello\n", b"", None])
async def test_a_raw_value_is_printed_byte_for_byte(
    cluster: KafkaSettings, value: bytes | None
):
    location = await produce(cluster, dead_letter(value))
    assert await run(cluster, "dlq", "show", str(location), "--raw") == (
        0,
        value or b"",
        "",
    )


async def test_a_missing_dead_letter_is_an_error_of_one_line(cluster: KafkaSettings):
    location = await produce(cluster, dead_letter())
    for absent, reason in (
        (location._replace(offset=10**6), "there is no such offset; the partition holds 0"),
        (location._replace(offset=2**63), "there is no such offset"),
        (location._replace(partition=9), "there is no such partition"),
    ):
        for verb in (["show"], ["replay", "--yes"]):
            code, out, err = await run(cluster, "dlq", *verb, str(absent))
            assert (code, out) == (1, b"")
            assert err.startswith(f"dlq: {absent}: {reason}")
            assert err.count("\n") == 1


async def test_a_replay_has_the_original_s_bytes_and_its_reply_is_printed(
    cluster: KafkaSettings, shop: Shop
):
    headers = (("x", b"\xff"), ("kafka_correlationId", b"old"), ("y", None))
    value = b'{"type": "purchase", "user": 1}'
    location = await produce(cluster, dead_letter(value, b"1", headers))
    async with begun(cluster, "dlq", "replay", "--yes", str(location)) as process:
        again = await shop.request()
        await shop.reply(again, {"type": "orderPlaced", "orderID": 17})
        code, out, err = await end(process)
    assert (again.topic, again.key, again.value) == (CART_REQUESTS.name, b"1", value)
    headers = [("x", b"\xff"), ("y", None), ("origin", b"cart.requests-1-42")]
    assert list(again.headers[2:]) == headers
    assert dict(again.headers)["kafka_replyTopic"] == b"operator.replies"
    assert (code, err) == (0, "")
    result = '{"type": "orderPlaced", "orderID": 17}'
    assert out.decode().splitlines()[-1] == f"{location}  done: {result}"


async def test_replays_are_sent_in_sequence_and_a_refused_one_is_printed(
    cluster: KafkaSettings, shop: Shop
):
    value = b'{"type": "purchase", "user": 1}'
    locations = [await produce(cluster, dead_letter(value)) for _ in range(2)]
    words = ["dlq", "replay", "--yes", *map(str, locations)]
    async with begun(cluster, *words) as process:
        no = {"type": "refused", "code": "cart-empty", "text": "the cart is empty"}
        await shop.reply(await shop.request(), no)
        await shop.reply(await shop.request(), DONE)
        code, out, _ = await end(process)
    assert code == 1
    assert out.decode().splitlines()[-2:] == [
        f"{locations[0]}  refused: cart-empty (the cart is empty)",
        f'{locations[1]}  done: {{"type": "done"}}',
    ]


async def test_a_replay_without_a_reply_is_unanswered(cluster: KafkaSettings, shop: Shop):
    location = await produce(cluster, dead_letter(b'{"type": "purchase", "user": 1}'))
    words = ["dlq", "replay", "--yes", str(location), "--patience", "1"]
    code, out, _ = await run(cluster, *words)
    again = await shop.request()
    assert code == 1
    sent = f"{again.topic}-{again.partition}@{again.offset}"
    result = f"unanswered: checkout has not committed {sent}; no outcome within 1 s"
    assert out.decode().splitlines()[-1] == f"{location}  {result}"


async def test_a_record_that_is_no_dead_letter_of_the_shop_is_not_replayed(
    cluster: KafkaSettings, untouched_shop: None
):
    stray = await produce(cluster, record("cart.dlq", b'{"type": "purchase", "user": 1}'))
    code, out, _ = await run(cluster, "dlq", "replay", "--yes", str(stray))
    assert code == 1
    assert f"{stray}  refused: not replayed: {stray} has no valid source" in out.decode()


async def test_without_a_terminal_a_replay_needs_yes(
    cluster: KafkaSettings, untouched_shop: None
):
    location = await produce(cluster, dead_letter())
    code, _, err = await run(cluster, "dlq", "replay", str(location))
    assert code == 2
    assert err.startswith("dlq: no terminal to confirm at; --yes confirms")


async def test_a_no_at_the_terminal_sends_nothing(
    cluster: KafkaSettings, untouched_shop: None
):
    location = await produce(cluster, dead_letter())
    code, out, err = await at_a_terminal(cluster, b"\n", "dlq", "replay", str(location))
    assert code == 1
    assert out.decode().startswith(f"{location}  ")
    assert err == "Send them again? [y/N] dlq: nothing was sent\n"


async def test_a_yes_at_the_terminal_replays(cluster: KafkaSettings, shop: Shop):
    location = await produce(cluster, dead_letter(b'{"type": "purchase", "user": 1}'))
    words = ["dlq", "replay", str(location), "--patience", "1"]
    code, _, err = await at_a_terminal(cluster, b"y\n", *words)
    assert (code, err) == (1, "Send them again? [y/N] ")
    assert (await shop.request()).topic == CART_REQUESTS.name
