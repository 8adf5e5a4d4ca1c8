"""The ways by which a notice reaches people: a mail, a webhook.

A transport tries once. What failed for a passing reason is `Transient`, what will fail
however often it is tried is `Permanent`. One connection a notice: none is found dead.
"""

import socket
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr, parsedate_to_datetime
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib

from agents.notifications.notification import Notification
from agents.notifications.settings import NotificationSettings
from agents.notifications.signature import signature
from agents.notifications.urls import basic_auth, exact_url, login

_FIRST_PERMANENT_REPLY = 500  # SMTP: 4yz is "not now", 5yz is "no"

_CLOSING = 421  # SMTP: the server ends the session, whatever the command was

_BOUNDARY = "=_notice"
"""Between the parts of a mail: no words of ours, nor what is encoded, have a =_ in them."""

_LONGEST_WAIT_SECONDS = 300.0  # that a receiver may ask for

_TRANSIENT_STATUSES = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class TransientError(Exception):
    """Not now.

    Attributes:
        wait_seconds: the delay that the receiver asked for.
        is_of_recipient: whether the transport itself works, so that other notices can
            be delivered.
    """

    def __init__(
        self, reason: str, wait_seconds: float = 0, *, is_of_recipient: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.is_of_recipient = is_of_recipient


class PermanentError(Exception):
    """Never."""


class Transport(Protocol):
    """A way for notices."""

    @property
    def name(self) -> str:
        """What it is called in logs and dead letters."""

    async def deliver(self, notice: Notification) -> None:
        """Try once.

        Raises:
            Transient: it may be tried again.
            Permanent: it makes no sense to try again.
        """


class SmtpTransport:
    """SMTP. A refused session (password, TLS) passes, since the notice can't help it."""

    name = "smtp"

    def __init__(self, url: str, settings: NotificationSettings) -> None:
        self._url = urlsplit(url)
        self._settings = settings

    async def deliver(self, notice: Notification) -> None:
        """Hand a mail over to the server."""
        session = self._session()
        try:
            await session.connect()
        except (aiosmtplib.SMTPException, OSError) as why:
            raise TransientError(f"no session: {_error_text(why)}") from why
        try:
            await session.send_message(self.compose(notice))
        except (aiosmtplib.SMTPException, OSError) as why:
            raise _classify(why) from why
        else:
            with suppress(aiosmtplib.SMTPException, OSError):  # it has the mail
                await session.quit()
        finally:
            session.close()

    def compose(self, notice: Notification) -> EmailMessage:
        """Write the mail, as text and HTML; a repeat is the same, Message-ID included."""
        event, sender = notice.event, self._settings.notify_from
        status = event.status.replace(" ", "-")
        domain = parseaddr(sender)[1].rpartition("@")[2]
        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = self._settings.notify_to.replace("{user}", str(event.user))
        mail["Subject"] = notice.subject
        mail["Date"] = format_datetime(event.at.astimezone(UTC))
        mail["Message-ID"] = f"<order-{event.order_id}.{status}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(notice.text)
        mail.add_alternative(notice.html, subtype="html")
        mail.set_boundary(_BOUNDARY)  # else it is another one at each repeat
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
            # Not the full name of this host: to look it up may take longer than the mail.
            local_hostname=socket.gethostname(),
            timeout=self._settings.notify_timeout_seconds,
            use_tls=tls,
            start_tls=False if tls else starttls,
        )


class WebhookTransport:
    """A POST of the event as JSON; `Idempotency-Key` is the event's id.

    It is signed where there is a secret, anew at each attempt.
    """

    name = "webhook"

    def __init__(self, url: str, settings: NotificationSettings) -> None:
        self._url = exact_url(url)
        self._login = basic_auth(url)
        self._secret = settings.webhook_secret
        self._timeout = aiohttp.ClientTimeout(total=settings.notify_timeout_seconds)

    async def deliver(self, notice: Notification) -> None:
        """Post it; any 2xx is a yes."""
        headers = {"Content-Type": "application/json", **self._login}
        headers["Idempotency-Key"] = notice.event_id
        body = notice.event.to_json()
        if self._secret:
            headers |= signature(self._secret.get_secret_value(), datetime.now(UTC), body)
        try:
            async with aiohttp.ClientSession(timeout=self._timeout) as session:
                # Not redirected: that would make an empty GET of it.
                post = session.post(
                    self._url, data=body, headers=headers, allow_redirects=False
                )
                async with post as answer:
                    _raise_for_status(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as why:
            # Its text may hold the URL, and that a secret.
            raise TransientError(type(why).__name__) from why


def create_transports(settings: NotificationSettings) -> tuple[Transport, ...]:
    """Make the transports that there are; the log needs none."""
    transports: list[Transport] = []
    if settings.smtp_url:
        transports.append(SmtpTransport(settings.smtp_url.get_secret_value(), settings))
    if settings.webhook_url:
        transports.append(
            WebhookTransport(settings.webhook_url.get_secret_value(), settings)
        )
    return tuple(transports)


def _classify(why: Exception) -> TransientError | PermanentError:
    if isinstance(why, aiosmtplib.SMTPRecipientsRefused):
        why = why.recipients[0]  # there is only one
    match why:
        case aiosmtplib.SMTPResponseException(code=code) if code >= _FIRST_PERMANENT_REPLY:
            return PermanentError(_error_text(why))
        case aiosmtplib.SMTPNotSupported():
            return PermanentError(_error_text(why))
        case (
            aiosmtplib.SMTPRecipientRefused(code=code) | aiosmtplib.SMTPDataError(code=code)
        ) if code != _CLOSING:
            return TransientError(_error_text(why), is_of_recipient=True)
        case _:
            return TransientError(_error_text(why))


def _error_text(why: Exception) -> str:
    what: int | str = type(why).__name__
    if isinstance(why, aiosmtplib.SMTPResponseException):
        what, why = why.code, Exception(why.message)
    # One line of ASCII, whatever the server said: it goes into logs and record headers.
    return " ".join(f"{what} {why}".encode("ascii", "replace").decode().split())


def _raise_for_status(answer: aiohttp.ClientResponse) -> None:
    status = answer.status
    if status in _TRANSIENT_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransientError(f"HTTP {status}", _retry_after(answer))
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise PermanentError(f"HTTP {status}")


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    """Return for how many seconds a receiver wants to be left alone, within reason."""
    said = answer.headers.get("Retry-After", "")
    try:
        wait = float(said) if said.isdecimal() else _until(said)
    except (ValueError, TypeError, OverflowError):  # nothing said, or nothing of sense
        return 0
    return min(max(wait, 0), _LONGEST_WAIT_SECONDS)


def _until(date: str) -> float:
    return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
