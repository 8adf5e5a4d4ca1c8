"""What topics must be after a repartition."""

import orjson

from schemas.stock import ReceiveStock
from tests.component.grown import ORDERS, READER, SKUS, Grown
from topics.catalog import (
    ORDER_EVENTS,
    SENT_CHANGELOG,
    STOCK_CHANGELOG,
    STOCK_REQUESTS,
)
from topics.kafka.location import RecordLocation, identity, partition_of
from topics.kafka.reader import TopicReader
from topics.layout import layout_of

OLD, NEW = 2, 3

FOREIGN = ReceiveStock(sku=SKUS[0], warehouse_id=9, count=9)

LATE = ReceiveStock(sku=SKUS[0], warehouse_id=8, count=8)


async def current_layout(grown: Grown):
    async with TopicReader(grown.cluster) as reader:
        return await layout_of(reader)


async def require_requests(grown: Grown, before: dict, written_late: int) -> None:
    layout, committed = (
        await current_layout(grown),
        await grown.committed("loms", STOCK_REQUESTS),
    )
    known = {
        identity(RecordLocation(STOCK_REQUESTS.name, *at), 0): record
        for at, record in before.items()
    }
    origins, foreign, late = [], [], 0
    for number, records in (await grown.records(STOCK_REQUESTS)).items():
        counts: dict[bytes, list[int]] = {}
        for record in records:
            if layout.ignores(record):
                foreign.append(record)
                continue
            origin = dict(record.headers).get("origin", b"").decode()
            if record.value in (FOREIGN.to_json(), LATE.to_json()):
                assert record.offset >= committed[number]
                late += record.value == LATE.to_json()
                continue
            key, value, timestamp, headers = known[origin]
            assert (record.key, record.value, record.timestamp) == (key, value, timestamp)
            moved = ("origin", origin.encode()), ("moved", b"1")
            assert [*record.headers] == [*headers, *moved]
            origins.append(origin)
            is_waiting = value in grown.waiting or value == b"invalid"
            assert (record.offset >= committed[number]) >= is_waiting
            if value != b"invalid":
                request = orjson.loads(value)
                assert partition_of(b"%d" % request["sku"], NEW) == number
                counts.setdefault(key, []).append(request["count"])
        assert all(each == [1, 3, 4] for each in counts.values())
    dropped = (b"no JSON", ReceiveStock(sku=SKUS[0], warehouse_id=1, count=2).to_json())
    expected = [origin for origin, record in known.items() if record[1] not in dropped]
    assert sorted(origins) == sorted(expected)
    # Of what clients wrote among the past, a copy is behind it, under its first location.
    copies = {
        dict(record.headers).get("origin")
        for records in (await grown.records(STOCK_REQUESTS)).values()
        for record in records
        if record.value == FOREIGN.to_json()
    }
    assert late == written_late > 0
    assert foreign
    for record in foreign:
        assert record.value == FOREIGN.to_json()
        assert identity(record, 1).encode() in copies


async def require_rows(grown: Grown) -> None:
    records = await grown.records(STOCK_REQUESTS)
    layout = await current_layout(grown)
    for number, rows in (await grown.records(STOCK_CHANGELOG)).items():
        past = [r for r in records[number] if not layout.ignores(r)]
        included = [r.offset + 1 for r in past if b'"count":3}' in (r.value or b"")]
        for row in rows:
            assert dict(row.headers) == {"version": b"1/%d" % max(included, default=0)}
            if row.value is not None:
                assert partition_of(row.key.split(b"/")[0], NEW) == number
    keys = sorted(
        row.key
        for rows in (await grown.records(STOCK_CHANGELOG)).values()
        for row in rows
        if row.value is not None
    )
    assert keys == sorted(key for s in SKUS for key in (b"%d" % s, b"%d/99" % s))


async def require_events(grown: Grown, before: dict) -> None:
    events = await grown.records(ORDER_EVENTS)
    times = {record.timestamp for records in events.values() for record in records}
    assert times == {record[2] for record in before.values()}
    unread = await grown.committed(READER, ORDER_EVENTS)
    locations = {}
    for number, records in events.items():
        for record in records:
            event = ORDER_EVENTS.decode(record.value)
            locations[number, record.offset] = event
            if event.event_id in grown.unread:
                assert record.offset >= unread[number]
    pending = 0
    for number, rows in (await grown.records(SENT_CHANGELOG)).items():
        for row in rows:
            if row.value and b"/" in row.key:
                transport, offset, order = row.key.decode().split("/")
                event = locations[number, int(offset)]
                assert (transport, int(order)) == ("mail", event.order_id)
                stored = orjson.loads(orjson.loads(row.value)["value"])
                assert stored["status"] == event.status
                pending += 1
    assert pending == 2 * len(ORDERS)
