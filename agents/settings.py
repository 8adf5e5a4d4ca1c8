"""Settings of LOMS, products and notifications, from the environment."""

import string
from contextlib import suppress
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from schemas.order import MAX_RETENTION_DAYS, MAX_TIMEOUT_SECONDS, MIN_RETENTION_DAYS

# The addresses of the stand-in, natively and in compose; others are external.
_STAND_INS = ("127.0.0.1", "localhost", "product-service")

PUBLIC_CALLS_PER_SECOND = 10.0  # the limit of the public ProductService

_UNCHANGED = string.ascii_letters + string.digits + string.punctuation
_HINT = "write special characters of a password as %XX"

# An empty variable counts as not set. Errors repeat no URL: it may have a password.
_CONFIG = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)


class LomsSettings(BaseSettings):
    """Times of orders.

    Attributes:
        payment_timeout_seconds: how long an order may await payment.
        order_retention_days: after its last status; then an order is deleted. Unset, orders
            stay for ever.
    """

    model_config = _CONFIG

    payment_timeout_seconds: int = Field(default=600, ge=0, le=MAX_TIMEOUT_SECONDS)
    order_retention_days: (
        Annotated[int, Field(ge=MIN_RETENTION_DAYS, le=MAX_RETENTION_DAYS)] | None
    ) = None


class ProductSettings(BaseSettings):
    """The limits of ProductService's client.

    Attributes:
        product_service: host:port; plaintext gRPC.
        product_deadline_seconds: limit of one call.
        product_budget_seconds: limit of a whole cart, with retries and waiting; well
            below the gateway's `REPLY_TIMEOUT_SECONDS`.
        product_attempts: limit of the calls for one sku.
        product_parallelism: limit of the calls in flight; most servers take 100 on one
            connection. Carts whose calls are sent together are replied to together, so
            that all that follows has larger batches.
        product_rate_limit: calls a second, 0 without a limit; unset, the stand-in has no
            limit and any other service has that of the public one.
        product_burst: concurrent calls under a rate limit.
    """

    model_config = _CONFIG

    product_service: str = "127.0.0.1:8082"
    product_token: SecretStr = SecretStr("testtoken")
    product_deadline_seconds: Annotated[float, Field(gt=0)] = 1.0
    product_budget_seconds: Annotated[float, Field(gt=0)] = 5.0
    product_attempts: Annotated[int, Field(ge=1)] = 5
    product_parallelism: Annotated[int, Field(ge=1)] = 100
    product_rate_limit: Annotated[float, Field(ge=0)] | None = None
    product_burst: Annotated[int, Field(ge=1)] = 5

    @property
    def calls_per_second(self) -> float:
        """The rate limit in force; 0 is none."""
        if self.product_rate_limit is not None:
            return self.product_rate_limit
        host = self.product_service.rpartition(":")[0]
        return 0.0 if host in _STAND_INS else PUBLIC_CALLS_PER_SECOND

    @property
    def max_concurrency(self) -> int:
        """The parallelism in force; under a rate limit no more than the burst."""
        if not self.calls_per_second:
            return self.product_parallelism
        return min(self.product_parallelism, self.product_burst)


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
    with suppress(ValueError):
        parts = urlsplit(url)
        is_host = parts.hostname and " " not in parts.hostname and parts.port != 0
        if is_host and parts.scheme in schemes:
            return parts
    raise ValueError(f"{form}; {_HINT}")


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
    """The transports of notifications.

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

    model_config = _CONFIG

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp)] | None = None
    webhook_url: Annotated[SecretStr, AfterValidator(_http)] | None = None
    webhook_secret: SecretStr | None = None
    notify_from: Annotated[str, AfterValidator(_address)] = "shop@example.test"
    notify_to: Annotated[str, AfterValidator(_address_of_user)] = "user-{user}@example.test"
    notify_opt_out: Annotated[Path, AfterValidator(_file)] | None = None
    notify_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
