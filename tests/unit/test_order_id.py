"""The id of an order, and its view."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as any_

from agents.loms.service import ORDER_AGGREGATE
from schemas.contract import SHARDS, Code, Refused
from schemas.order import CreateOrder, ListOrder, OrderView, Status, order_id

from .given import by, given
from .test_order import CREATE, ID, ITEMS, NEW, USER

# The id


@for_all(user=any_.integers(-(2**63), 2**63 - 1), request_id=any_.text())
def test_an_order_id_is_exact_in_javascript_and_in_the_shard_of_its_user(user, request_id):
    name = order_id(user, request_id)

    assert 0 <= name < 2**53
    assert user % SHARDS == name % SHARDS
    assert name == order_id(user, request_id)


@pytest.mark.parametrize(
    ("user", "shard"), [(-1, 4095), (-4096, 0), (-(2**63), 0), (4097, 1)]
)
def test_the_shard_of_a_user_is_a_floor_modulo(user, shard):
    create = CreateOrder(user=user, items=ITEMS)
    outcome = given(ORDER_AGGREGATE).when(create)

    assert shard == create.shard == outcome.sent[1].order_id % SHARDS


def test_each_request_of_each_user_has_an_order_of_its_own():
    assert 4 == len({order_id(user, request) for user in (1, 4097) for request in "ab"})


def test_a_request_has_the_key_of_its_order():
    key = ORDER_AGGREGATE.identify(CREATE.request, CREATE.cause)

    assert (
        (str(ID),) == key == ORDER_AGGREGATE.identify(ListOrder(order_id=ID), CREATE.cause)
    )


def test_a_purchase_and_a_create_order_with_the_same_key_are_two_orders():
    cart = by(CREATE.request, key="k", purchase="key:k")

    assert ORDER_AGGREGATE.identify(cart.request, cart.cause) != (str(ID),)


# listOrder


def test_an_order_is_shown_with_its_status_in_ascending_sku():
    view = OrderView(status=Status.NEW, user=USER, items=ITEMS)

    given(ORDER_AGGREGATE, *NEW).when(ListOrder(order_id=ID)).then_nothing().sending(view)


def test_an_order_that_was_never_created_is_unknown():
    outcome = (
        given(ORDER_AGGREGATE).when(ListOrder(order_id=ID)).then_refused(Code.UNKNOWN_ORDER)
    )

    assert isinstance(outcome.sent[0], Refused)
    assert str(ID) in outcome.sent[0].text
