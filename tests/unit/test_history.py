"""The checkers of a campaign's history notice what must not have been."""

import pytest

from tests.chaos.history import Call, History
from tests.e2e.clients import Answer

OLD, NEW = {"orderID": 1}, {"orderID": 2}


def made(at: float, reply: dict, call: str = "purchase", key: str = "k", code=None) -> Call:
    """A call that took a second."""
    body = {"orderID": 7} if call == "listOrder" else {"user": 7}
    return Call(call, key, body, at, at + 1, Answer(reply, code))


def seen(at: float, status: str) -> Call:
    """A look at an order."""
    return made(at, {"status": status}, "listOrder", key=str(at))


def test_a_retry_that_is_answered_otherwise_is_a_violation():
    (violation,) = History([made(0, OLD), made(2, NEW)]).violations()

    assert "purchase" in violation


@pytest.mark.parametrize(
    "again",
    [
        made(2, OLD),
        made(2, NEW, key="another"),
        made(2, {}, code="cart-empty"),
        Call("purchase", "k", {"user": 7}, 2, 3, None),
        Call("purchase", "k", {"user": 8}, 2, 3, Answer(NEW)),
    ],
)
def test_the_same_answer_no_answer_and_another_request_are_none(again: Call):
    assert not list(History([made(0, OLD), again]).violations())


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("awaiting payment", "new"),
        ("paid", "awaiting payment"),
        ("paid", "cancelled"),
        ("failed", "new"),
    ],
)
def test_an_order_that_goes_back_is_a_violation(was: str, now: str):
    (violation,) = History([seen(0, was), seen(2, now)]).violations()

    assert violation == f"order 7 was {was}, and then {now}"


def test_an_order_may_go_on_and_looks_at_the_same_time_may_see_either():
    steps = [seen(0, "new"), seen(2, "awaiting payment"), seen(2.5, "new"), seen(4, "paid")]

    assert not list(History(steps).violations())
