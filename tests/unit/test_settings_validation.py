"""Settings are validated before a running shop is stopped."""

import pytest

from agents.ops.local.deployment import ShopError, settings, validate_settings
from gateway.settings import Settings


def test_valid_settings_pass():
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
def test_an_invalid_setting_is_named_and_its_value_is_not_repeated(
    name: str, value: str, why: str
):
    with pytest.raises(ShopError) as error:
        validate_settings({name: value})
    assert str(error.value).startswith(f"{name}: ")
    assert why in str(error.value)
    assert "Value error" not in str(error.value)


def test_the_gateways_settings_are_validated_too():
    with pytest.raises(ShopError, match=r"the gateway: .*reply_timeout_seconds"):
        validate_settings({"REPLY_TIMEOUT_SECONDS": "-1"})


def test_each_setting_of_a_gateway_is_a_setting_of_the_shop():
    own = {"GATEWAY_INDEX"}  # each gateway has another one
    names = {name.upper() for name in Settings.model_fields} - own
    assert settings(dict.fromkeys(names | own, "x")).keys() == names
