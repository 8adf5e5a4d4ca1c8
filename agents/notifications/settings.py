"""Where notices go (from the environment)."""

from email.utils import getaddresses
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from agents.notifications.urls import exact_url, split_url


def _smtp(url: SecretStr) -> SecretStr:
    parts = split_url(url.get_secret_value(), "smtp", "smtps")
    if parts.query not in ("", "starttls=auto", "starttls=always", "starttls=never"):
        raise ValueError("after the ? goes starttls=auto, always or never")
    if parts.path not in ("", "/") or parts.fragment:
        # Without this a password with a / in it would be taken for a host and a path.
        raise ValueError("must have no path; special characters of a password as %XX")
    return url


def _http(url: SecretStr) -> SecretStr:
    split_url(url.get_secret_value(), "http", "https")
    try:
        exact_url(url.get_secret_value())
    except ValueError:  # its text repeats a part of the URL
        raise ValueError("must be http or https://host, of valid characters") from None
    return url


def _address(address: str) -> str:
    # One line, so that nothing can be smuggled into a mail's headers.
    mailbox, *more = [mailbox for _, mailbox in getaddresses([address])] or [""]
    is_one = not more and address.isprintable() and mailbox.isascii()
    if not is_one or " " in mailbox or "@" not in mailbox[1:-1]:
        raise ValueError("must be one mail address")
    return address


def _address_of_user(template: str) -> str:
    address = _address(template.replace("{user}", "-1"))
    if "{" in address or "}" in address:
        raise ValueError("must have nothing in braces but {user}")
    return template


def _file(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as why:
        raise ValueError(f"must be a file that can be read: {why.strerror}") from None
    return path


class NotificationSettings(BaseSettings):
    """The transports. An empty variable counts as not set.

    Attributes:
        smtp_url: smtp://user:password@host:port or smtps://…; user, password and port
            may be left out. ?starttls=always insists on encryption, never does without,
            auto (as without it) takes it where the server offers it.
        webhook_url: gets each event as JSON by POST; sent byte for byte.
        webhook_secret: signs them, see `signature`; unset, they are not signed.
        notify_from: the sender of mails.
        notify_to: the receiver, with {user} for the number of the order's user; without
            it all mails go to one address.
        notify_opt_out: a file of users who get neither mails nor webhooks, see `OptOut`.
        notify_timeout_seconds: for each step of a mail, and for a whole webhook call.
    """

    # Errors do not repeat a URL, which may hold a password.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp)] | None = None
    webhook_url: Annotated[SecretStr, AfterValidator(_http)] | None = None
    webhook_secret: SecretStr | None = None
    notify_from: Annotated[str, AfterValidator(_address)] = "shop@example.test"
    notify_to: Annotated[str, AfterValidator(_address_of_user)] = "user-{user}@example.test"
    notify_opt_out: Annotated[Path, AfterValidator(_file)] | None = None
    notify_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
