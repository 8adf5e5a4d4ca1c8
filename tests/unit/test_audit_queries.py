"""Replies of a running shop are compared with the rules at the offset of their query."""

import pytest

from agents.ops.audit.queries import Query, QueryCheck, matches, sample
from schemas.cart import CartView, PriceCart, PricedItem
from schemas.contract import Code, Item, Refused
from schemas.stock import ListStocks, ReceiveStock, Stock, StocksView
from topics.catalog import ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.location import RecordLocation

from .logs import log, replay
from .world import World

SKU = 1
WAREHOUSE = 7


def view(count):
    return StocksView(stocks=(Stock(warehouse_id=WAREHOUSE, count=count),))


def wrong(reply):
    """Put 2 units in, query, put 3 more in; return the query if its reply is wrong."""
    world = World(0, crashes=0, echoes=0, delays=0)
    world.ask(ReceiveStock(sku=SKU, warehouse_id=WAREHOUSE, count=2))
    query = Query(STOCK_REQUESTS, ListStocks(sku=SKU))
    world.ask(query.request)
    world.ask(ReceiveStock(sku=SKU, warehouse_id=WAREHOUSE, count=3))
    (partition,) = (each for each in world.all() if each.log)
    query.at = RecordLocation(STOCK_REQUESTS.name, 0, 1)
    query.reply = reply
    check = QueryCheck([query])
    for replayed in map(replay(partition).take, log(partition)):
        check.take(replayed)
    return list(check.wrong())


def test_a_reply_of_the_state_at_the_query_is_right():
    assert not wrong(view(2))


def test_a_reply_of_a_later_state_is_right_as_well():
    assert not wrong(view(5))


@pytest.mark.parametrize("reply", [view(1), StocksView(stocks=()), view(3), view(4)])
def test_a_reply_of_no_state_is_wrong(reply):
    (text,) = wrong(reply)

    query = '{"sku":1,"type":"stocks"} at stock.requests-0@1'
    replied = reply.to_json().decode()
    assert text == f"{query}: replied {replied}, but the log gives {view(2)}"


CART = PriceCart(user=1, items=(Item(sku=1, count=2),))


def priced(count):
    line = PricedItem(sku=1, count=count, name="whatever", price=7)
    return CartView(items=(line,), total_price=count * 7)


def test_of_a_cart_its_units_count_and_not_its_prices():
    assert matches(CART, priced(2))
    assert not matches(CART, priced(3))
    assert not matches(CART, CartView(items=(), total_price=0))


def test_a_cart_without_prices_is_no_wrong_reply():
    assert matches(CART, Refused(code=Code.PRODUCT_SERVICE, text="down"))
    assert not matches(CART, Refused(code=Code.CART_EMPTY, text="what?"))


def test_the_same_seed_queries_the_same_rows_up_to_the_limit():
    keys = [*map(str, range(100)), "7/key:a", "forged"]
    first, again = (sample(ORDER_REQUESTS, keys, 10, seed=3) for _ in range(2))

    assert len(first) == 10
    assert [q.request for q in first] == [q.request for q in again]
    assert [q.request for q in first] != [
        q.request for q in sample(ORDER_REQUESTS, keys, 10, seed=4)
    ]
