"""The outputs of committed records are looked up in the logs of their topics."""

from dataclasses import replace

import pytest
from aiokafka import TopicPartition

from agents.ops.audit.outputs import OutputCheck
from topics.catalog import CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS
from topics.kafka.reader import OffsetRange

from .logs import replayed_records
from .shoppers import Shoppers
from .world import World

TOPICS = (CART_REQUESTS, ORDER_REQUESTS, STOCK_REQUESTS)
ALL = {TopicPartition(topic.name, 0): 10**6 for topic in TOPICS}
RANGES = {tp: OffsetRange(0, end) for tp, end in ALL.items()}


def a_day(seed):
    """Let shoppers shop until no message is in flight."""
    world = World(seed)
    people = Shoppers(world)
    people.open_the_shop()
    people.shop(40)
    world.settle()
    return world


def outputs(world, committed, lost=None):
    """Check a world's logs, without one message, however often it was sent."""
    check = OutputCheck(RANGES, committed, {})
    for replayed in replayed_records(world):
        if replayed.record.value != lost:
            check.take(replayed)
    return check


@pytest.mark.parametrize("seed", range(20))
def test_a_quiet_world_has_sent_all_outputs(seed):
    check = outputs(a_day(seed), ALL)

    assert check.missing == {}
    assert check.in_flight == {}


@pytest.mark.parametrize("kind", [b"reserve", b"release", b"sell"])
def test_a_command_that_was_never_sent_is_named(kind):
    world = a_day(3)
    log = [sent.value for each in world.partitions[STOCK_REQUESTS] for sent in each.log]
    value = next(value for value in log if b'"%s"' % kind in value)

    missing = outputs(world, ALL, lost=value).missing.values()

    assert missing
    sku = STOCK_REQUESTS.decode(value).sku
    for one in missing:
        assert one.startswith("order.requests-0@")
        assert f"stock.requests has no record that follows from it, key {sku}" in one


def test_outputs_of_uncommitted_records_are_in_flight():
    world = a_day(3)
    log = [sent.value for each in world.partitions[STOCK_REQUESTS] for sent in each.log]
    value = next(v for v in log if b'"sell"' in v and log.count(v) == 1)

    check = outputs(world, {}, lost=value)

    assert check.missing == {}
    (message,) = check.in_flight.values()
    assert message == STOCK_REQUESTS.decode(value)


def test_a_reserve_of_an_older_release_is_the_same_command():
    world = a_day(3)
    for partition in world.partitions[STOCK_REQUESTS]:
        for number, sent in enumerate(partition.log):
            if b'"reserve"' in sent.value:
                old = STOCK_REQUESTS.decode(sent.value).model_copy(update={"at": None})
                partition.log[number] = replace(sent, value=old.to_json())

    assert outputs(world, ALL).missing == {}
