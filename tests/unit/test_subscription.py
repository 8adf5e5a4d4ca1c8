"""Partitions that a member keeps in a rebalance keep their positions."""

import pytest
from aiokafka import TopicPartition

from agents.worker.coordinator import (
    SubscriptionState,
)

TOPIC = "stock.requests"

HERE, THERE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


@pytest.fixture
async def subscribed() -> SubscriptionState:
    state = SubscriptionState()
    state.is_cooperative = True
    state.subscribe({TOPIC})
    return state


async def test_other_consumers_of_the_process_begin_at_once():
    """Only the group's consumer resumes partitions."""
    state = SubscriptionState()
    state.subscribe({TOPIC})
    state.assign_from_subscribed({HERE})
    assert not state.paused_partitions()


async def test_a_partition_that_stays_keeps_its_position_and_is_not_paused(
    subscribed: SubscriptionState,
):
    subscribed.assign_from_subscribed({HERE})
    subscribed.resume(HERE)
    subscribed.seek(HERE, 7)
    subscribed.assign_from_subscribed({HERE, THERE})
    assignment = subscribed.subscription.assignment
    assert assignment.state_value(HERE).position == 7
    assert not assignment.state_value(THERE).has_valid_position
    assert subscribed.paused_partitions() == {THERE}


async def test_a_partition_that_returns_is_paused_and_has_no_position(
    subscribed: SubscriptionState,
):
    subscribed.assign_from_subscribed({HERE})
    subscribed.resume(HERE)
    subscribed.seek(HERE, 7)
    subscribed.assign_from_subscribed(set())
    subscribed.assign_from_subscribed({HERE})
    assert not subscribed.subscription.assignment.state_value(HERE).has_valid_position
    assert subscribed.paused_partitions() == {HERE}


async def test_a_partition_that_stays_belongs_to_the_new_assignment(
    subscribed: SubscriptionState,
):
    subscribed.assign_from_subscribed({HERE})
    subscribed.assign_from_subscribed({HERE})
    assignment = subscribed.subscription.assignment
    assignment.state_value(HERE).fetch_committed()
    assert assignment.commit_refresh_needed.is_set()


async def test_changelogs_that_an_older_release_assigns_are_left_out(
    subscribed: SubscriptionState,
):
    subscribed.assign_from_subscribed({HERE, TopicPartition("a-changelog", 0)})
    assert subscribed.assigned_partitions() == {HERE}
