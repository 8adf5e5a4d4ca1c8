"""What committed records had to say is looked for in the logs that it goes to."""

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.outputs import OutputCheck
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS

from .logs import turns
from .shoppers import Shoppers
from .world import World

TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)
WHOLE = frozenset(topic.name for topic in TOPICS)
ALL = {TopicPartition(name, 0): 10**6 for name in WHOLE}


def a_day(seed):
    """Let people shop until all is quiet."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(40)
    world.settle()
    return world


def promises(world, committed, forgotten=None):
    """Take all that a world's logs hold, but for one message, however often it was said."""
    kept = OutputCheck(committed, WHOLE)
    for turn in turns(world):
        if turn.record.value != forgotten:
            kept.take(turn)
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_when_all_is_quiet_all_has_been_said(seed):
    kept = promises(a_day(seed), ALL)

    assert list(kept.missing()) == []
    assert kept.under_way == {}


@pytest.mark.parametrize("kind", [b"reserve", b"release", b"sell"])
def test_a_command_that_was_never_said_is_named(kind):
    world = a_day(3)
    log = [said.value for each in world.partitions[STOCK_REQUESTS] for said in each.log]
    value = next(value for value in log if b'"%s"' % kind in value)

    owed = list(promises(world, ALL, forgotten=value).missing())

    assert owed
    sku = STOCK_REQUESTS.decode(value).sku
    for one in owed:
        assert str(one).startswith("order.requests-0@")
        assert f"was never said in stock.requests, key {sku}" in str(one)


def test_what_uncommitted_records_had_to_say_is_under_way():
    world = a_day(3)
    log = [said.value for each in world.partitions[STOCK_REQUESTS] for said in each.log]
    value = next(v for v in log if b'"sell"' in v and log.count(v) == 1)

    kept = promises(world, {}, forgotten=value)

    assert list(kept.missing()) == []
    (message,) = kept.under_way.values()
    assert message == STOCK_REQUESTS.decode(value)
