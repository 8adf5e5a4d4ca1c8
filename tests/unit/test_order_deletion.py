"""The end of an order's life: deleted, some days after its last status."""

from datetime import timedelta
from itertools import product

import orjson
import pytest

from agents.loms.order import Deleted
from agents.loms.service import ORDER_AGGREGATE
from schemas.contract import Code
from schemas.order import (
    AnonymizeOrder,
    DeleteOrder,
    ListOrder,
    Status,
    StockReserved,
)

from .given import by, given
from .test_order import (
    AWAITING,
    CREATE,
    FAILED,
    ID,
    LAMP_YES,
    NEW,
    RESERVES,
    SOFA,
    event,
)
from .test_order_ends import (
    CANCEL,
    CANCELLED,
    CANCELLED_WHILE_NEW,
    EXPIRE,
    PAID,
    PAY,
)

DELETE = DeleteOrder(order_id=ID, retention_days=30)
DAYS, A_MOMENT = timedelta(days=30), timedelta(microseconds=1)
LATER = timedelta(days=36_500)
OVER = [FAILED, PAID, CANCELLED]


@pytest.mark.parametrize("past", OVER)
def test_an_order_is_deleted_when_its_last_status_is_old_enough(past):
    outcome = given(ORDER_AGGREGATE, *past).when(DELETE, at=DAYS)

    assert outcome.then(Deleted()).sending_nothing().after is None


@pytest.mark.parametrize("past", OVER)
def test_an_order_is_kept_until_then(past):
    order = given(ORDER_AGGREGATE, *past)

    order.when(DELETE, at=DAYS - A_MOMENT).then_nothing().sending_nothing()


def test_the_days_run_from_the_last_status():
    paid_at = timedelta(days=7)
    order = given(ORDER_AGGREGATE, *AWAITING, by(PAY, at=paid_at))

    order.when(DELETE, at=paid_at + DAYS - A_MOMENT).then_nothing()
    order.when(DELETE, at=paid_at + DAYS).then(Deleted())


def test_the_days_are_those_of_the_request():
    soon = DeleteOrder(order_id=ID, retention_days=2)

    given(ORDER_AGGREGATE, *PAID).when(soon, at=timedelta(days=2)).then(Deleted())


@pytest.mark.parametrize("past", [NEW, (*NEW, LAMP_YES), AWAITING])
def test_an_open_order_is_never_deleted(past):
    given(ORDER_AGGREGATE, *past).when(DELETE, at=LATER).then_nothing().sending_nothing()


def test_an_order_that_waits_for_an_answer_of_stock_is_kept():
    order = given(ORDER_AGGREGATE, *CANCELLED_WHILE_NEW)

    order.when(DELETE, at=LATER).then_nothing().sending_nothing()
    answered = by(StockReserved(order_id=ID, sku=SOFA, reserved=True))
    given(ORDER_AGGREGATE, *CANCELLED_WHILE_NEW, answered).when(DELETE, at=DAYS).then(
        Deleted()
    )


def test_an_anonymized_order_is_deleted_too():
    anonymized = by(AnonymizeOrder(order_id=ID), at=DAYS - A_MOMENT)

    given(ORDER_AGGREGATE, *PAID, anonymized).when(DELETE, at=DAYS).then(Deleted())


def test_a_row_of_an_older_release_without_the_last_answer_is_kept():
    (serde,) = ORDER_AGGREGATE.serdes
    row = orjson.loads(serde.serialize(given(ORDER_AGGREGATE, *PAID).state))
    del row["last_answer"]
    old = serde.deserialize(orjson.dumps(row))

    given(ORDER_AGGREGATE, state=old).when(DELETE, at=LATER).then_nothing()


# Afterwards


@pytest.mark.parametrize("request_", [ListOrder(order_id=ID), PAY, CANCEL])
def test_a_deleted_order_is_unknown(request_):
    deleted = given(ORDER_AGGREGATE, *PAID, by(DELETE, at=DAYS))

    deleted.when(request_, at=DAYS).then_refused(Code.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    ("late", "seen"), [*product((LAMP_YES, EXPIRE, DELETE), (False, True))]
)
def test_a_late_message_of_the_shop_changes_nothing_and_reaches_no_client(late, seen):
    deleted = given(ORDER_AGGREGATE, *PAID, by(DELETE, at=DAYS))

    deleted.when(late, seen=seen).then_nothing().sending_nothing()


def test_a_repeated_create_order_that_is_redelivered_after_the_deletion_is_refused():
    repeated = by(CREATE.request, "again", key="k")
    deleted = given(ORDER_AGGREGATE, *PAID, repeated, by(DELETE, at=DAYS))

    outcome = deleted.when(repeated, seen=True)

    assert outcome.after is None
    assert [Code.UNKNOWN_ORDER] == [reply.code for reply in outcome.sent]


def test_a_redelivered_deletion_deletes_no_later_order():
    again = by(CREATE.request, "again", key="k", at=DAYS)
    order = given(ORDER_AGGREGATE, *PAID, by(DELETE, at=DAYS), again)

    order.when(DELETE, seen=True, at=DAYS).then_nothing().sending_nothing()
    order.when(DELETE, at=DAYS + A_MOMENT).then_nothing().sending_nothing()


def test_until_then_a_repeated_key_gives_the_same_order_and_afterwards_a_new_one():
    again = by(CREATE.request, "again", key="k", at=DAYS)
    kept = given(ORDER_AGGREGATE, *PAID, by(DELETE, at=DAYS - A_MOMENT))
    deleted = given(ORDER_AGGREGATE, *PAID, by(DELETE, at=DAYS))

    kept.when(again).then_nothing()
    reserves = (each.model_copy(update={"at": again.cause.timestamp}) for each in RESERVES)
    deleted.when(again).sending(event(Status.NEW, again.cause.timestamp), *reserves)
