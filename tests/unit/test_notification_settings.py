"""Settings of notifications: invalid ones are refused at the start, without secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.notifications.transports import create_transports
from agents.settings import NotificationSettings, ProductSettings


@pytest.mark.parametrize("name", ["notify_from", "notify_to"])
@pytest.mark.parametrize(
    "address",
    [
        "a@b.test\r\nBcc: c@d.test",
        "a@b.test\nX: y",
        "",
        "nobody",
        "@b.test",
        "a@",
        "é@b.test",
        "a b@c.test",
        "a@b.test, c@d.test",
        "a@b.test;c@d.test",
    ],
)
def test_an_address_that_is_not_one_is_refused_at_the_start(name, address):
    with pytest.raises(ValidationError):
        NotificationSettings(**{name: address})


@pytest.mark.parametrize(
    "template",
    [
        "user-{user}@shop.test",
        "Shopper {user} <shopper+{user}@shop.test>",
        "box@user{user}.shop.test",
        "everything@shop.test",
    ],
)
def test_mails_go_to_an_address_of_each_user_or_all_to_one(template):
    assert NotificationSettings(notify_to=template).notify_to == template


@pytest.mark.parametrize(
    "template",
    [
        "{user}",
        "user-{id}@shop.test",
        "user-{user@shop.test",
        "user-{ user }@shop.test",
        "{user}-{order}@shop.test",
        "{user}@b.test, {user}@c.test",
    ],
)
def test_a_template_that_makes_no_address_is_refused_at_the_start(template):
    with pytest.raises(ValidationError, match=r"notify_to\n.* (mail address|braces)"):
        NotificationSettings(notify_to=template)


def test_a_list_that_is_not_there_is_refused_at_the_start(tmp_path):
    with pytest.raises(ValidationError, match="No such file"):
        NotificationSettings(notify_opt_out=tmp_path / "none")
    with pytest.raises(ValidationError, match="Is a directory"):
        NotificationSettings(notify_opt_out=tmp_path)


@pytest.mark.parametrize(
    ("service", "name", "value", "why"),
    [
        ("notifications", "NOTIFY_TO", "{id}@shop.test", "no braces except {user}"),
        ("notifications", "NOTIFY_OPT_OUT", "/none", "a readable file: No such file"),
        ("notifications", "WEBHOOK_URL", "chat.test", "must be http or https"),
        ("products", "PRODUCT_ATTEMPTS", "0", "greater than or equal to 1"),
    ],
)
def test_the_worker_logs_an_invalid_setting_in_a_line(
    tmp_path: Path, service: str, name: str, value: str, why: str
):
    environment = os.environ | {"STATE_DIR": str(tmp_path), name: value}
    words = [sys.executable, "-m", "agents", service]
    ran = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    [line] = [each for each in ran.stderr.splitlines() if "level=INFO" not in each]
    assert f"event=bad-setting name={name.lower()} reason=" in line
    assert why in line


NO_URLS = {
    "smtp_url": [
        "mail.test",
        "http://user:s3cret@mail.test",
        "smtp://user:s3cret@",
        "smtp://user:s3cret@mail.test:port",
        "smtp://user:s3cret@mail.test?starttls=perhaps",
        "smtp://user:s3cret/x@mail.test",
        "smtp://user:s3cret#x@mail.test",
        "smtp://user:s3cret?x@mail.test",
        "smtp://user:25/s3cret@mail.test",
        "smtp://user:s3cret[x@mail.test",
        "smtp://user:s3cret\u2100@mail.test",
        "smtp://user:s3\tcret@mail.test",
        "smtp://user:s3cret@mail.test\n",
        " smtp://user:s3cret@mail.test",
    ],
    "webhook_url": [
        "https://hook.test/a b\n",
        "https://hook.test/a\tb?s3cret",
        "https://user:s3cret[@hook.test",
        "https://user:s3cret:x@hook.test:y",
        "https://user:s3cret/@hook.test",
        "https://user:s3cret@ho ok.test/",
        "https://user:s3cret@hook.test:99999/",
    ],
}


@pytest.mark.parametrize(
    ("name", "url"), [(name, url) for name, urls in NO_URLS.items() for url in urls]
)
def test_a_url_that_is_none_is_refused_without_its_password(name, url):
    with pytest.raises(ValidationError, match=rf"{name}\n") as refused:
        NotificationSettings(**{name: url})
    assert "cret" not in str(refused.value)


def test_secrets_and_templates_are_taken_as_they_are(monkeypatch):
    odd = "  $HOME %(x)s 100% 'q\" #x\\n {} é "
    monkeypatch.setenv("WEBHOOK_SECRET", odd)
    monkeypatch.setenv("PRODUCT_TOKEN", odd)
    monkeypatch.setenv("NOTIFY_TO", "100%25$x <{user}+$HOME%(x)s@shop.test>")
    settings = NotificationSettings()
    assert settings.webhook_secret.get_secret_value() == odd
    assert settings.notify_to == "100%25$x <{user}+$HOME%(x)s@shop.test>"
    assert ProductSettings().product_token.get_secret_value() == odd


def test_transports_are_there_when_they_are_set(monkeypatch):
    monkeypatch.setenv("SMTP_URL", "")
    assert create_transports(NotificationSettings()) == ()
    monkeypatch.setenv("SMTP_URL", "smtps://user:p%40ss@mail.test:2465?starttls=never")
    monkeypatch.setenv("WEBHOOK_URL", "https://chat.test/bot-s3cret/sendMessage")
    monkeypatch.setenv("WEBHOOK_SECRET", "signed-s3cret")
    settings = NotificationSettings()
    assert [way.name for way in create_transports(settings)] == ["smtp", "webhook"]
    assert "s3cret" not in repr(settings)
