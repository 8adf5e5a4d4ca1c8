"""The indexes by expiry have what the rules say of each row."""

from datetime import UTC, datetime

import orjson
import pytest

from agents.checkout.service import CART_AGGREGATE
from agents.loms.service import STOCK_AGGREGATE
from agents.notifications.sent_log import OPTED_OUT, event_row, sent_index, with_outcome
from agents.runtime.layout import index_value
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status

from .test_world_days import some_days

TABLES = [CART_AGGREGATE, STOCK_AGGREGATE]


@pytest.mark.parametrize("aggregate", TABLES, ids=lambda a: a.changelog.name)
def test_a_row_is_in_the_index_at_its_expiry(aggregate):
    worlds = [some_days(seed) for seed in range(6)]
    seen = set()
    for partition in (p for w in worlds for p in w.partitions[aggregate.requests]):
        for name, row in [r for rows, _ in partition.writes for r in rows.items()]:
            expires = aggregate.expires(partition.decode(name, row))
            expected = None if expires is None else (index_value(expires), True)
            assert aggregate.index(row) == expected
            seen.add(expires is None)

    assert seen == {True, False}


@pytest.mark.parametrize("row", [b"", b"{", b'{"at":"', b'{"at":"x"}', b'{"lines":{}'])
def test_an_invalid_row_never_expires(row):
    for aggregate in TABLES:
        assert aggregate.index(row) is None


def test_keys_of_clients_do_not_pass_for_a_rows_fields():
    key = '"lines":{},"checkouts":{}'
    row = orjson.dumps({"lines": {"1": 1}, "processed": {key: "x"}, "checkouts": {}})

    assert CART_AGGREGATE.index(row) is None


# Notifications

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = OrderStatusChanged(
    order_id=1, user=7, status=Status.NEW, items=(Item(sku=1, count=2),), at=AT
)


def test_a_notification_is_in_the_index_once_all_its_deliveries_are_complete():
    row = event_row(EVENT, "sent", ["smtp", "webhook"])
    assert sent_index(row) is None
    row = with_outcome(row, "smtp", '250 "ok"')
    assert sent_index(row) is None
    for outcome in ("sent", OPTED_OUT, "smtp: 554 no"):
        complete = with_outcome(row, "webhook", outcome)
        assert sent_index(complete) == (index_value(AT), True)
    assert sent_index(event_row(EVENT, "sent", [])) == (index_value(AT), True)


def test_a_pending_delivery_is_not_in_the_index():
    value = event_row(EVENT, "sent", []).decode()
    assert sent_index(orjson.dumps({"value": value, "key": None})) is None
