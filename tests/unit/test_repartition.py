"""Where records and rows lie after a repartition, and what identifies them."""

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from agents.ops.repartition.copying import Merge
from agents.ops.repartition.logs import parts
from agents.ops.repartition.placement import LAST, PROBE, RequestPlacement, place_by_key
from agents.runtime.changelog import decode_row, offset_headers
from agents.runtime.deserializer import (
    MAX_HEADERS,
    ORIGIN,
    deserialize,
    parse_reply_context,
)
from agents.runtime.rows import Row
from schemas.contract import Contract, Item
from schemas.order import OrderStatusChanged, Status
from schemas.stock import ListStocks, ReceiveStock
from topics.catalog import (
    CARTS_CHANGELOG,
    ORDER_EVENTS,
    ORDERS_CHANGELOG,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    STOCK_REQUESTS,
)
from topics.kafka.location import partition_of
from topics.kafka.reader import OffsetRange
from topics.layout import Layout

OLD, NEW = 3, 5
REQUEST = ReceiveStock(sku=7, warehouse_id=1, count=1)
OWNER = partition_of(b"7", OLD)


def record(
    value: bytes | None,
    partition: int = OWNER,
    offset: int = 4,
    key: bytes | None = b"7",
    headers: Iterable[tuple[str, bytes]] = (),
) -> ConsumerRecord:
    return ConsumerRecord(
        STOCK_REQUESTS.name, partition, offset, 9, 1, key, value, None, 0, 0, (*headers,)
    )


def placed(of: ConsumerRecord, *, processed: bool, generation: int = 0):
    return RequestPlacement(STOCK_REQUESTS, OLD, NEW, generation)(of, processed)


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize(
    ("generation", "origin"),
    [(0, b"stock.requests-%d-4"), (2, b"stock.requests.2-%d-4")],
)
def test_a_record_moves_to_its_owner_and_keeps_its_first_location(
    processed: bool, generation: int, origin: bytes
):
    found = placed(record(REQUEST.to_json()), processed=processed, generation=generation)
    assert found.partition == partition_of(b"7", NEW)
    assert found.headers == [("origin", origin % OWNER), ("moved", b"1")]
    assert ORIGIN.fullmatch(found.headers[0][1])


def test_an_origin_of_the_shop_stays_and_one_of_a_client_does_not_count():
    ours = [("a", b"b"), ("origin", b"cart.requests-1-2")]
    kept = placed(record(REQUEST.to_json(), headers=ours), processed=True)
    forged = placed(record(REQUEST.to_json(), headers=[("origin", b"x/y")]), processed=True)
    assert kept.headers == ours
    assert dict(forged.headers)["origin"] == b"stock.requests-%d-4" % OWNER


@pytest.mark.parametrize(
    "of",
    [record(b"no JSON"), record(REQUEST.to_json(), partition=(OWNER + 1) % OLD)],
    ids=["invalid", "misrouted"],
)
def test_of_processed_records_those_with_a_copy_elsewhere_are_dropped(of: ConsumerRecord):
    assert placed(of, processed=True) is None
    assert placed(of, processed=False).partition == partition_of(b"7", NEW)


def test_a_processed_record_without_a_copy_elsewhere_is_kept():
    """Its caller got a refusal, and nothing else followed."""
    headers = [("kafka_replyTopic", b"cart.requests")]
    stray = record(REQUEST.to_json(), (OWNER + 1) % OLD, headers=headers)
    assert placed(stray, processed=True).partition == partition_of(b"7", NEW)


def test_a_processed_event_that_is_a_dead_letter_is_dropped():
    """It has an invalid reply topic, and an event has no reply."""
    event = OrderStatusChanged(
        order_id=1,
        user=1,
        status=Status.NEW,
        items=(Item(sku=1, count=1),),
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    headers = [("kafka_replyTopic", b"cart.requests")]
    place = RequestPlacement(ORDER_EVENTS, 1, NEW, 0)
    for record_headers, processed, is_kept in (
        (headers, True, False),
        (headers, False, True),
        ([], True, True),
    ):
        of = record(event.to_json(), 0, key=b"1", headers=record_headers)
        assert (place(of, processed) is not None) == is_kept


def test_an_invalid_record_without_a_key_and_a_dead_letter_go_by_their_partition():
    assert placed(record(b"no JSON", 4, key=None), processed=False).partition == 4 % NEW
    assert place_by_key(record(b"", 2, key=None), 2).partition == 0
    assert place_by_key(record(b"", key=b"7"), NEW).headers == []
    assert place_by_key(record(b"", key=b"7"), NEW).partition == partition_of(b"7", NEW)


def test_probes_are_dropped_and_nothing_that_a_client_sends_is_one():
    assert placed(record(None, headers=PROBE), processed=False) is None
    assert placed(record(None, key=None, headers=LAST), processed=False) is None
    assert placed(record(None, headers=LAST), processed=False)
    assert placed(record(REQUEST.to_json(), headers=PROBE), processed=False)


def test_a_record_stays_valid_when_its_origin_makes_its_headers_too_large():
    name = "padding"
    padding = (name, b"x" * (MAX_HEADERS - len(name)))
    full = record(REQUEST.to_json(), headers=[padding])
    moved = record(REQUEST.to_json(), headers=placed(full, processed=True).headers)
    assert parse_reply_context(full).error is None
    assert parse_reply_context(moved).error is None
    assert parse_reply_context(record(b"", headers=[padding, ("a", b"")])).error


@pytest.mark.parametrize(
    "headers",
    [
        [("moved", b"1" * (MAX_HEADERS + 1))],
        [("moved", b"1")] * MAX_HEADERS,
        [("origin", b"a-1-1"), ("moved", b"1" * (MAX_HEADERS + 1))],
        [("origin", b"1" * (MAX_HEADERS + 1)), ("moved", b"1")],
    ],
    ids=["large", "many", "behind an origin", "large origin"],
)
def test_headers_of_a_client_that_look_moved_are_limited_as_others(headers: list):
    """A forwarded record has them, and could be larger than its topic allows."""
    assert parse_reply_context(record(REQUEST.to_json(), headers=headers)).error


def test_each_generation_gives_a_location_another_identity():
    def origin(generation: int) -> str:
        of = record(REQUEST.to_json())
        context = parse_reply_context(of)
        return deserialize(STOCK_REQUESTS, of, context, generation).cause.origin

    assert origin(0) == f"stock.requests-{OWNER}-4"
    assert len({origin(generation) for generation in range(12)}) == 12


def test_the_three_parts_of_a_log_follow_each_other():
    tps = [TopicPartition("t", number) for number in range(4)]
    ranges = dict.fromkeys(tps, OffsetRange(2, 9))
    committed = {tps[0]: 4, tps[1]: 7, tps[2]: 20}
    first, second, third = parts(ranges, committed, {0: 6, 1: 5, 2: 30, 3: 1})
    assert [first[tp] for tp in tps] == [(2, 4), (2, 7), (2, 9), (2, 2)]
    assert [second[tp] for tp in tps] == [(4, 6), (7, 7), (9, 9), (2, 2)]
    assert [third[tp] for tp in tps] == [(6, 9), (7, 9), (9, 9), (2, 9)]


class Consumer:
    """A consumer that fetches one record of one partition at a time."""

    def __init__(self, logs: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        self._left = {tp: deque(log) for tp, log in logs.items()}
        self._positions = dict.fromkeys(logs, 0)
        self.buffered = 0

    async def getmany(self, *tps: TopicPartition, timeout_ms: int):
        for tp in tps:
            if self._left[tp]:
                self._positions[tp] += 1
                return {tp: [self._left[tp].popleft()]}
        return {}

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]


async def test_partitions_are_merged_by_time_and_each_stays_in_its_order():
    times = {0: [5, 1, 7], 1: [2, 6, 6, 8], 2: []}
    logs = {
        TopicPartition("t", number): [
            ConsumerRecord("t", number, n, at, 1, None, b"", None, 0, 0, ())
            for n, at in enumerate(of_one)
        ]
        for number, of_one in times.items()
    }
    ends = {tp: len(log) for tp, log in logs.items()}
    merge = Merge(Consumer(logs), ends)
    found = [(r.partition, r.offset, r.timestamp) async for r in merge.records()]
    assert found == [
        (1, 0, 2),
        (0, 0, 5),
        (0, 1, 1),
        (1, 1, 6),
        (1, 2, 6),
        (0, 2, 7),
        (1, 3, 8),
    ]


@pytest.mark.parametrize(
    ("changelog", "row", "owner"),
    [
        (CARTS_CHANGELOG, "-5", "-5"),
        (ORDERS_CHANGELOG, "8195", "3"),
        (STOCK_CHANGELOG, "11", "11"),
        (STOCK_CHANGELOG, "11/8195", "11"),
        (STOCK_CHANGELOG, "11/key:a/b", "11"),
        (SENT_CHANGELOG, "8195:awaiting payment", "3"),
        (SENT_CHANGELOG, "mail/0000000000000000017/8195", "3"),
    ],
)
def test_a_row_lies_where_the_records_of_its_owner_lie(changelog, row: str, owner: str):
    assert changelog.owner_of_row(row) == owner


def test_the_owner_of_a_row_is_the_key_of_its_requests():
    def key(message: Contract) -> str:
        return STOCK_REQUESTS.key_of(message).decode()

    assert STOCK_CHANGELOG.owner_of_row("7/99") == key(ListStocks(sku=7))


def row_of(offset: int, generation: int) -> ConsumerRecord:
    return record(b"{}", key=b"k", headers=offset_headers(offset, generation))


def test_rows_of_an_earlier_generation_are_a_zombies_and_of_a_later_one_an_error():
    assert row_of(5, 0).headers == (("version", b"5"),)
    assert decode_row(row_of(5, 0)) == Row(b"k", b"{}", 5)
    assert decode_row(row_of(5, 2), 2) == Row(b"k", b"{}", 5)
    assert decode_row(row_of(500, 1), 2).source_offset < 0
    with pytest.raises(ValueError, match="generation 2, not 1"):
        decode_row(row_of(5, 2), 1)


def test_a_record_among_the_past_that_is_not_of_it_is_ignored():
    layout = Layout(1, {STOCK_REQUESTS.name: {0: [(3, 5), (8, 9)]}})
    found = [n for n in range(10) if layout.ignores(record(b"", 0, n))]
    assert found == [3, 4, 8]
    assert not layout.ignores(record(b"", 1, 3))
    assert not Layout().ignores(record(b"", 0, 3))
