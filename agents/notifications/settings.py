"""The settings of notifications, from the environment."""

from email.utils import getaddresses
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from agents.notifications.urls import exact_url, split_url


def _smtp(url: SecretStr) -> SecretStr:
    parts = split_url(url.get_secret_value(), "smtp", "smtps")
    if parts.query not in ("", "starttls=auto", "starttls=always", "starttls=never"):
        raise ValueError("the query must be starttls=auto, always or never")
    if parts.path not in ("", "/") or parts.fragment:
        # Without this check a password with a / would be read as a host and a path.
        raise ValueError("must have no path; write special characters of a password as %XX")
    return url


def _http(url: SecretStr) -> SecretStr:
    split_url(url.get_secret_value(), "http", "https")
    try:
        exact_url(url.get_secret_value())
    except ValueError:  # whose text repeats a part of the URL
        raise ValueError("must be http or https://host, with valid characters") from None
    return url


def _address(address: str) -> str:
    # One line, so that no header can be injected into a mail.
    mailbox, *more = [mailbox for _, mailbox in getaddresses([address])] or [""]
    is_one = not more and address.isprintable() and mailbox.isascii()
    if not is_one or " " in mailbox or "@" not in mailbox[1:-1]:
        raise ValueError("must be one mail address")
    return address


def _address_of_user(template: str) -> str:
    address = _address(template.replace("{user}", "-1"))
    if "{" in address or "}" in address:
        raise ValueError("must have no braces except {user}")
    return template


def _file(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"must be a readable file: {error.strerror}") from None
    return path


class NotificationSettings(BaseSettings):
    """The transports. An empty variable counts as not set.

    Attributes:
        smtp_url: smtp://user:password@host:port or smtps://…; user, password and port
            may be left out. ?starttls=always requires encryption, never disables it,
            auto (the default) uses it if the server offers it.
        webhook_url: receives each event as JSON by POST; sent byte for byte.
        webhook_secret: signs webhooks, see `signature`; unset, they are not signed.
        notify_from: the sender of mails.
        notify_to: the receiver; {user} stands for the user id of the order. Without
            {user} all mails go to one address.
        notify_opt_out: a file of users who get neither mails nor webhooks, see `OptOut`.
        notify_timeout_seconds: timeout of each step of a mail, and of a webhook call.
    """

    # Errors do not repeat a URL, which may have a password.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp)] | None = None
    webhook_url: Annotated[SecretStr, AfterValidator(_http)] | None = None
    webhook_secret: SecretStr | None = None
    notify_from: Annotated[str, AfterValidator(_address)] = "shop@example.test"
    notify_to: Annotated[str, AfterValidator(_address_of_user)] = "user-{user}@example.test"
    notify_opt_out: Annotated[Path, AfterValidator(_file)] | None = None
    notify_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
