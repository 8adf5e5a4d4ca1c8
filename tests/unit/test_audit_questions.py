"""Answers of a running shop are held against the rules at the offset of their question."""

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.queries import Query, QueryCheck, matches, sample
from schemas.cart import CartView, PricedItem
from schemas.contract import Code, Item, Refused
from schemas.product import PriceCart
from schemas.stock import ListStocks, ReceiveStock, Stock, StocksView
from topics.catalog import ORDER_REQUESTS, STOCK_REQUESTS

from .logs import log, replay
from .world import World

SKU = 1
WAREHOUSE = 7


def view(count):
    return StocksView(stocks=(Stock(warehouse_id=WAREHOUSE, count=count),))


def judged(*answers):
    """Put 2 pieces in, ask, put 3 more in; return what is wrong with these answers."""
    world = World(0, crashes=0, echoes=0, delays=0)
    world.ask(ReceiveStock(sku=SKU, warehouse_id=WAREHOUSE, count=2))
    question = Query(STOCK_REQUESTS, ListStocks(sku=SKU), b"me")
    world.ask(question.request)
    world.ask(ReceiveStock(sku=SKU, warehouse_id=WAREHOUSE, count=3))
    (partition,) = (each for each in world.all() if each.log)
    question.at = TopicPartition(STOCK_REQUESTS.name, 0), 1
    question.answers = list(answers)
    given = QueryCheck([question])
    for turn in map(replay(partition).take, log(partition)):
        given.take(turn, partition.aggregate)
    return given.wrong()


def test_an_answer_of_its_own_moment_is_right():
    assert not judged(view(2))


def test_an_answer_of_a_later_state_is_right_as_well():
    assert not judged(view(5))


def test_one_right_answer_among_several_is_enough():
    assert not judged(view(4), view(2))


@pytest.mark.parametrize("answer", [view(1), StocksView(stocks=()), view(3)])
def test_an_answer_of_no_state_is_wrong(answer):
    ((question, expected),) = judged(answer).items()

    assert expected == view(2)
    assert str(question) == '{"sku":1,"type":"stocks"} at stock.requests-0@1'


CART = PriceCart(user=1, items=(Item(sku=1, count=2),))


def priced(count):
    line = PricedItem(sku=1, count=count, name="whatever", price=7)
    return CartView(items=(line,), total_price=count * 7)


def test_of_a_cart_its_pieces_count_and_not_its_prices():
    assert matches(CART, priced(2))
    assert not matches(CART, priced(3))
    assert not matches(CART, CartView(items=(), total_price=0))


def test_a_cart_that_nobody_can_price_is_no_wrong_answer():
    assert matches(CART, Refused(code=Code.PRODUCT_SERVICE, text="down"))
    assert not matches(CART, Refused(code=Code.CART_EMPTY, text="what?"))


def test_the_same_seed_asks_about_the_same_owners_and_no_more_than_wanted():
    keys = [*map(str, range(100)), "7/key:a", "forged"]
    first, again = (sample(ORDER_REQUESTS, keys, 10, seed=3) for _ in range(2))

    assert len(first) == 10
    assert [q.request for q in first] == [q.request for q in again]
    assert [q.request for q in first] != [
        q.request for q in sample(ORDER_REQUESTS, keys, 10, seed=4)
    ]
