"""Where notices go (from the environment)."""

from email.utils import parseaddr
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _smtp(url: SecretStr) -> SecretStr:
    parts = _split(url, "smtp", "smtps")
    if parts.query not in ("", "starttls=auto", "starttls=always", "starttls=never"):
        raise ValueError("after the ? goes starttls=auto, always or never")
    return url


def _http(url: SecretStr) -> SecretStr:
    _split(url, "http", "https")
    return url


def _split(url: SecretStr, *schemes: str) -> SplitResult:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        raise ValueError(f"must be {' or '.join(schemes)}://host, with or without :port")
    return parts


def _address(address: str) -> str:
    # One line, so that nothing can be smuggled into a mail's headers.
    mailbox = parseaddr(address)[1]
    if not address.isprintable() or not mailbox.isascii() or "@" not in mailbox[1:-1]:
        raise ValueError("must be one mail address")
    return address


class NotificationSettings(BaseSettings):
    """The transports. An empty variable counts as not set.

    Attributes:
        smtp_url: smtp://user:password@host:port or smtps://…; user, password and port
            may be left out. ?starttls=always insists on encryption, never does without,
            auto (as without it) takes it where the server offers it.
        webhook_url: gets each event as JSON by POST.
        notify_from: the sender of mails.
        notify_to: the receiver, with {user} for the number of the order's user.
        notify_timeout_seconds: for each step of a mail, and for a whole webhook call.
    """

    # Errors do not repeat a URL, which may hold a password.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp)] | None = None
    webhook_url: Annotated[SecretStr, AfterValidator(_http)] | None = None
    notify_from: Annotated[str, AfterValidator(_address)] = "shop@example.test"
    notify_to: Annotated[str, AfterValidator(_address)] = "user-{user}@example.test"
    notify_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
