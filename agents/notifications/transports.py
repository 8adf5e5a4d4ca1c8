"""The transports of notifications: mail and webhook.

A transport makes one attempt. It raises `TransientError` if a retry may succeed, else
`PermanentError`. Each notification has its own connection, so that none is stale.
"""

import hmac
import socket
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr, parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib

from agents.notifications.notification import render
from agents.settings import NotificationSettings, exact_url, login
from schemas.order import OrderStatusChanged

_FIRST_PERMANENT_REPLY = 500  # SMTP: 4yz is transient, 5yz is permanent
_CLOSING = 421  # SMTP: the server ends the session, at any command

_BOUNDARY = "=_notice"
"""Separates the parts of a mail: neither texts nor encoded parts contain =_."""

TIMESTAMP = "X-Shop-Timestamp"
SIGNATURE = "X-Shop-Signature"
_HASH = "sha256"

_MAX_RETRY_AFTER_SECONDS = 300.0

_TRANSIENT_STATUSES = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class TransientError(Exception):
    """An attempt failed; a retry may succeed, after the delay that a receiver requested.

    An error of one recipient does not prevent the delivery of other notifications.
    """

    def __init__(
        self, reason: str, wait_seconds: float = 0, *, is_of_recipient: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.is_of_recipient = is_of_recipient


class PermanentError(Exception):
    """A delivery failed; a retry can't succeed."""


class SmtpTransport:
    """Delivers by SMTP. A refused session (password, TLS) is a transient error."""

    name = "smtp"

    def __init__(self, url: str, settings: NotificationSettings) -> None:
        self._url = urlsplit(url)
        self._settings = settings

    async def deliver(self, event: OrderStatusChanged) -> None:
        """Send a mail to the server."""
        session = self._session()
        try:
            await session.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise TransientError(f"no session: {_error_text(error)}") from error
        try:
            await session.send_message(self.compose(event))
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _classify(error) from error
        else:
            with suppress(aiosmtplib.SMTPException, OSError):  # the mail is sent
                await session.quit()
        finally:
            session.close()

    def compose(self, event: OrderStatusChanged) -> EmailMessage:
        """Return the mail, as text and HTML; a repeat has the same Message-ID."""
        notification, sender = render(event), self._settings.notify_from
        status = event.status.replace(" ", "-")
        domain = parseaddr(sender)[1].rpartition("@")[2]
        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = self._settings.notify_to.replace("{user}", str(event.user))
        mail["Subject"] = notification.subject
        mail["Date"] = format_datetime(event.at.astimezone(UTC))
        mail["Message-ID"] = f"<order-{event.order_id}.{status}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(notification.text)
        mail.add_alternative(notification.html, subtype="html")
        mail.set_boundary(_BOUNDARY)  # else it is random, and a repeat differs
        return mail

    def _session(self) -> aiosmtplib.SMTP:
        url = self._url
        starttls = {"starttls=always": True, "starttls=never": False}.get(url.query)
        tls = url.scheme == "smtps"
        user, password = login(url.geturl()) or (None, None)
        return aiosmtplib.SMTP(
            hostname=url.hostname,
            port=url.port,
            username=user or None,
            password=password or None,
            # Not the full name of this host: its lookup may take longer than the mail.
            local_hostname=socket.gethostname(),
            timeout=self._settings.notify_timeout_seconds,
            use_tls=tls,
            start_tls=False if tls else starttls,
        )


def signature(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers with the signature of a body at the time of an attempt.

    The time is signed together with the body, as Stripe does, so that an old request can't
    be replayed. The signature names its hash, as GitHub's does.
    """
    seconds = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, _HASH).hexdigest()
    return {TIMESTAMP: seconds, SIGNATURE: f"{_HASH}={digest}"}


class WebhookTransport:
    """Delivers by a POST of the event as JSON; `Idempotency-Key` is the event's id."""

    name = "webhook"

    def __init__(self, url: str, settings: NotificationSettings) -> None:
        self._url = exact_url(url)
        self._headers = {"Content-Type": "application/json"}
        if credentials := login(url):
            token = b64encode(b":".join(credentials)).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._secret = settings.webhook_secret
        self._timeout = aiohttp.ClientTimeout(total=settings.notify_timeout_seconds)

    async def deliver(self, event: OrderStatusChanged) -> None:
        """Post the event; any status 2xx is a success."""
        headers = self._headers | {"Idempotency-Key": event.event_id}
        body = event.to_json()
        if self._secret:
            headers |= signature(self._secret.get_secret_value(), datetime.now(UTC), body)
        try:
            async with aiohttp.ClientSession(timeout=self._timeout) as session:
                # No redirects: they would turn the POST into an empty GET.
                post = session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                )
                async with post as response:
                    _raise_for_status(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The text of the error may have the URL, which may have a secret.
            raise TransientError(type(error).__name__) from error


Transport = SmtpTransport | WebhookTransport


def create_transports(settings: NotificationSettings) -> tuple[Transport, ...]:
    """Return the configured transports; log lines need none."""
    configured = (
        (settings.smtp_url, SmtpTransport),
        (settings.webhook_url, WebhookTransport),
    )
    return tuple(
        create(url.get_secret_value(), settings) for url, create in configured if url
    )


def _classify(error: Exception) -> TransientError | PermanentError:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]  # a mail has one recipient
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
    text = _error_text(error)
    if code >= _FIRST_PERMANENT_REPLY or isinstance(error, aiosmtplib.SMTPNotSupported):
        return PermanentError(text)
    of_recipient = isinstance(
        error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError
    )
    return TransientError(text, is_of_recipient=of_recipient and code != _CLOSING)


def _error_text(error: Exception) -> str:
    kind: int | str = type(error).__name__
    if isinstance(error, aiosmtplib.SMTPResponseException):
        kind, error = error.code, Exception(error.message)
    # One line of ASCII, since it goes into logs and record headers.
    return " ".join(f"{kind} {error}".encode("ascii", "replace").decode().split())


def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in _TRANSIENT_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransientError(f"HTTP {status}", _retry_after(response))
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise PermanentError(f"HTTP {status}")


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Return the delay that a receiver requests, in seconds; it is limited."""
    value = response.headers.get("Retry-After", "")
    try:
        if value.isdecimal():
            wait = float(value)
        else:
            wait = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # missing or invalid
        return 0
    return min(max(wait, 0), _MAX_RETRY_AFTER_SECONDS)
