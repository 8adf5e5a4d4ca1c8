"""Settings that make no sense are told before a shop is stopped for their sake."""

import pytest

from agents.ops.local.deployment import ShopError
from agents.ops.local.validation import validate_settings


def test_nothing_is_wrong_with_what_makes_sense():
    validate_settings(
        {"PAYMENT_TIMEOUT_SECONDS": "20", "SMTP_URL": "smtp://h:25", "GATEWAYS": "2"}
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PAYMENT_TIMEOUT_SECONDS", "-1", "greater than or equal to 0"),
        ("SESSION_TIMEOUT_SECONDS", "x", "valid number"),
        ("WEBHOOK_URL", "x", "must be http or https"),
        ("SMTP_URL", "nonsense", "must be smtp or smtps"),
        ("PRODUCT_ATTEMPTS", "0", "greater than or equal to 1"),
        ("KAFKA", "a:b", "must be host:port"),
    ],
)
def test_what_makes_none_is_named_and_not_repeated(name: str, value: str, why: str):
    with pytest.raises(ShopError) as told:
        validate_settings({name: value})
    assert str(told.value).startswith(f"{name}: ")
    assert why in str(told.value)
    assert "Value error" not in str(told.value)
