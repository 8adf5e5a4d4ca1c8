"""The settings of notifications; errors do not repeat a URL, requests do not change it."""

import string
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

_UNCHANGED = string.ascii_letters + string.digits + string.punctuation
_HINT = "write special characters of a password as %XX"


def exact_url(url: str) -> URL:
    """Return a URL without its login; its path and query are sent byte for byte.

    yarl would decode `%2F` in a query, which breaks a signature over the query. Only
    spaces and non-ASCII characters are encoded.
    """
    parts = urlsplit(url)
    begin = len(f"{parts.scheme}://{parts.netloc}")
    origin = str(URL(url[:begin]).with_user(None)).removesuffix("/")
    return URL(origin + quote(url[begin:], safe=_UNCHANGED), encoded=True)


def login(url: str) -> tuple[bytes, bytes] | None:
    """Return the user and the password of a URL, decoded to bytes."""
    before, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = before.partition(":")
    return (unquote_to_bytes(user), unquote_to_bytes(password)) if at else None


def _split(url: str, *schemes: str) -> SplitResult:
    form = f"must be {' or '.join(schemes)}://host, with or without :port"
    # urlsplit drops tabs and line breaks; its errors repeat a part of the URL.
    if url != url.strip() or not url.isprintable():
        raise ValueError(f"{form}, without spaces or line breaks around it")
    try:
        parts = urlsplit(url)
        is_host = parts.hostname and " " not in parts.hostname and parts.port != 0
        is_url = is_host and parts.scheme in schemes
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError(f"{form}; {_HINT}")
    return parts


def _smtp(url: SecretStr) -> SecretStr:
    parts = _split(url.get_secret_value(), "smtp", "smtps")
    if parts.query not in ("", "starttls=auto", "starttls=always", "starttls=never"):
        raise ValueError("the query must be starttls=auto, always or never")
    if parts.path not in ("", "/") or parts.fragment:
        # Without this check a password with a / would be read as a host and a path.
        raise ValueError(f"must have no path; {_HINT}")
    return url


def _http(url: SecretStr) -> SecretStr:
    _split(url.get_secret_value(), "http", "https")
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
            are optional. ?starttls=always requires encryption, never disables it, auto
            (the default) uses it if the server offers it.
        webhook_url: receives each event as JSON by POST; sent byte for byte.
        webhook_secret: signs webhooks; unset, they are not signed.
        notify_to: the receiver of mails; {user} stands for the user id of the order.
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
