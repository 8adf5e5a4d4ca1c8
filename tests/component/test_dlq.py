"""Dead letters on a real broker: listed, shown, replayed; the test itself is the shop."""

import os

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from tests.component.tools import at_a_terminal, begun, end, run
from tests.standins.shop import Shop
from tests.unit.buried import REASON, buried, record
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS
from topics.kafka.location import RecordLocation
from topics.kafka.settings import KafkaSettings

DONE = {"type": "done"}


async def bury(cluster: KafkaSettings, letter: ConsumerRecord) -> RecordLocation:
    """Put a letter among the dead ones."""
    async with AIOKafkaProducer(bootstrap_servers=cluster.kafka) as producer:
        sent = await producer.send_and_wait(
            letter.topic, letter.value, key=letter.key, headers=list(letter.headers)
        )
    return RecordLocation(sent.topic, sent.partition, sent.offset)


async def test_the_newest_dead_letters_are_listed_the_last_one_last(cluster: KafkaSettings):
    places = [await bury(cluster, buried(b"%d" % n, b"%d" % n)) for n in range(5)]
    code, out, _ = await run(cluster, "dlq", "list", "cart.dlq", "--last", "3")
    assert code == 0
    lines = out.decode().splitlines()
    assert [line.split()[0] for line in lines] == [str(place) for place in places[-3:]]
    assert all(line.endswith(f"from cart.requests-1@42  {REASON}") for line in lines)


async def test_all_topics_of_dead_letters_are_listed_unless_one_is_named(
    cluster: KafkaSettings,
):
    there = {
        source: await bury(cluster, buried(source=source))
        for source in (CART_REQUESTS, ORDER_REQUESTS)
    }
    code, out, _ = await run(cluster, "dlq", "list")
    assert code == 0
    assert all(f"{place} " in out.decode() for place in there.values())
    _, out, _ = await run(cluster, "dlq", "list", "order.dlq")
    assert f"{there[ORDER_REQUESTS]} " in out.decode()
    assert "cart.dlq" not in out.decode()


async def test_whoever_looks_at_the_first_line_only_breaks_nothing(cluster: KafkaSettings):
    for _ in range(2):
        await bury(cluster, buried())
    reader, writer = os.pipe()
    async with begun(cluster, "dlq", "list", stdout=writer) as process:
        os.close(writer)
        os.close(reader)
        assert (await end(process))[::2] == (0, "")


async def test_a_dead_letter_is_shown_with_all_that_there_is_to_it(cluster: KafkaSettings):
    value = b'{"type": "addToCart"}'
    place = await bury(cluster, buried(value, b"17", (("x", b"\xff"), ("y", None))))
    code, out, _ = await run(cluster, "dlq", "show", str(place))
    assert code == 0
    lines = out.decode().splitlines()
    assert lines[0] == str(place)
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
async def test_its_bytes_are_to_be_had_as_they_are(
    cluster: KafkaSettings, value: bytes | None
):
    place = await bury(cluster, buried(value))
    assert await run(cluster, "dlq", "show", str(place), "--raw") == (0, value or b"", "")


async def test_a_letter_that_is_not_there_is_told_in_one_line(cluster: KafkaSettings):
    place = await bury(cluster, buried())
    for absent, reason in (
        (place._replace(offset=10**6), "there is no such offset; the partition holds 0"),
        (place._replace(offset=2**63), "there is no such offset"),
        (place._replace(partition=9), "there is no such partition"),
    ):
        for verb in (["show"], ["replay", "--yes"]):
            code, out, err = await run(cluster, "dlq", *verb, str(absent))
            assert (code, out) == (1, b"")
            assert err.startswith(f"dlq: {absent}: {reason}")
            assert err.count("\n") == 1


async def test_a_replay_is_what_its_sender_sent_and_its_reply_is_told(
    cluster: KafkaSettings, shop: Shop
):
    headers = (("x", b"\xff"), ("kafka_correlationId", b"old"), ("y", None))
    value = b'{"type": "purchase", "user": 1}'
    place = await bury(cluster, buried(value, b"1", headers))
    async with begun(cluster, "dlq", "replay", "--yes", str(place)) as process:
        again = await shop.request()
        await shop.reply(again, {"type": "orderPlaced", "orderID": 17})
        code, out, err = await end(process)
    assert (again.topic, again.key, again.value) == (CART_REQUESTS.name, b"1", value)
    theirs = [("x", b"\xff"), ("y", None), ("origin", b"cart.requests-1-42")]
    assert list(again.headers[2:]) == theirs
    assert dict(again.headers)["kafka_replyTopic"] == b"operator.replies"
    assert (code, err) == (0, "")
    told = '{"type": "orderPlaced", "orderID": 17}'
    assert out.decode().splitlines()[-1] == f"{place}  done: {told}"


async def test_replays_are_sent_one_after_the_other_and_one_that_fails_is_told(
    cluster: KafkaSettings, shop: Shop
):
    value = b'{"type": "purchase", "user": 1}'
    places = [await bury(cluster, buried(value)) for _ in range(2)]
    words = ["dlq", "replay", "--yes", *map(str, places)]
    async with begun(cluster, *words) as process:
        no = {"type": "refused", "code": "cart-empty", "text": "the cart is empty"}
        await shop.reply(await shop.request(), no)
        await shop.reply(await shop.request(), DONE)
        code, out, _ = await end(process)
    assert code == 1
    assert out.decode().splitlines()[-2:] == [
        f"{places[0]}  refused: cart-empty (the cart is empty)",
        f'{places[1]}  done: {{"type": "done"}}',
    ]


async def test_a_replay_that_nobody_answers_is_told_so(cluster: KafkaSettings, shop: Shop):
    place = await bury(cluster, buried(b'{"type": "purchase", "user": 1}'))
    words = ["dlq", "replay", "--yes", str(place), "--patience", "1"]
    code, out, _ = await run(cluster, *words)
    again = await shop.request()
    assert code == 1
    lies = f"{again.topic}-{again.partition}@{again.offset}"
    told = f"unanswered: checkout has not committed {lies}; no outcome within 1 s"
    assert out.decode().splitlines()[-1] == f"{place}  {told}"


async def test_a_letter_that_is_no_dead_one_of_ours_is_sent_nowhere(
    cluster: KafkaSettings, untouched_shop: None
):
    stray = await bury(cluster, record("cart.dlq", b'{"type": "purchase", "user": 1}'))
    code, out, _ = await run(cluster, "dlq", "replay", "--yes", str(stray))
    assert code == 1
    assert f"{stray}  refused: not replayed: {stray} has no valid source" in out.decode()


async def test_nothing_is_sent_again_unless_somebody_says_yes(
    cluster: KafkaSettings, untouched_shop: None
):
    place = await bury(cluster, buried())
    code, _, err = await run(cluster, "dlq", "replay", str(place))
    assert code == 2
    assert err.startswith("dlq: no terminal to confirm at; --yes confirms")


async def test_whoever_says_no_at_a_terminal_has_nothing_sent(
    cluster: KafkaSettings, untouched_shop: None
):
    place = await bury(cluster, buried())
    code, out, err = await at_a_terminal(cluster, b"\n", "dlq", "replay", str(place))
    assert code == 1
    assert out.decode().startswith(f"{place}  ")
    assert err == "Send them again? [y/N] dlq: nothing was sent\n"


async def test_whoever_says_yes_at_a_terminal_has_it_sent(
    cluster: KafkaSettings, shop: Shop
):
    place = await bury(cluster, buried(b'{"type": "purchase", "user": 1}'))
    words = ["dlq", "replay", str(place), "--patience", "1"]
    code, _, err = await at_a_terminal(cluster, b"y\n", *words)
    assert (code, err) == (1, "Send them again? [y/N] ")
    assert (await shop.request()).topic == CART_REQUESTS.name
