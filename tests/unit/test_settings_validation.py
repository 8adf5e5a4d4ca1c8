"""Settings are validated before a running shop is stopped."""

import os

import pytest

from agents.ops.local.deployment import settings, validate_settings
from gateway.settings import Settings
from topics.cli import CommandError


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings(os.environ):
        monkeypatch.delenv(name)


def test_valid_settings_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PAYMENT_TIMEOUT_SECONDS", "20")
    monkeypatch.setenv("ORDER_RETENTION_DAYS", "365")
    monkeypatch.setenv("SMTP_URL", "smtp://h:25")
    monkeypatch.setenv("GATEWAYS", "2")
    validate_settings()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PAYMENT_TIMEOUT_SECONDS", "-1", "greater than or equal to 0"),
        ("ORDER_RETENTION_DAYS", "1", "greater than or equal to 2"),
        ("SESSION_TIMEOUT_SECONDS", "x", "valid number"),
        ("WEBHOOK_URL", "x", "must be http or https"),
        ("SMTP_URL", "nonsense", "must be smtp or smtps"),
        ("PRODUCT_ATTEMPTS", "0", "greater than or equal to 1"),
        ("KAFKA", "a:b", "must be host:port"),
    ],
)
def test_an_invalid_setting_is_named_and_its_value_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(CommandError) as error:
        validate_settings()
    assert str(error.value).startswith(f"{name}: ")
    assert why in str(error.value)
    assert "Value error" not in str(error.value)


def test_the_gateways_settings_are_validated_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REPLY_TIMEOUT_SECONDS", "-1")
    with pytest.raises(CommandError, match=r"the gateway: .*reply_timeout_seconds"):
        validate_settings()


def test_each_setting_of_a_gateway_is_a_setting_of_the_shop():
    own = {"GATEWAY_INDEX"}  # each gateway has another one
    names = {name.upper() for name in Settings.model_fields} - own
    assert settings(dict.fromkeys(names | own, "x")).keys() == names
