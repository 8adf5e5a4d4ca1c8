"""A real SMTP server that keeps mails, and rejects those that a test selects."""

import asyncio
import ssl
from collections import deque
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_TAKEN = "250 2.0.0 taken"

_WITHIN_SECONDS = 90.0


class Mail(NamedTuple):
    """An accepted mail with its receivers."""

    receivers: tuple[str, ...]
    message: EmailMessage


class MailSink:
    """A mail server under the control of a test.

    Attributes:
        mails: the accepted ones, in order.
        answers: the responses to the next mails, e.g. "451 4.3.0 later"; after them mails
            are accepted.
        unknown: receivers that are rejected with a 550.
        greylisted: receivers that are rejected with a 451.
        login: the required user and password.
        tries: the number of offered mails, accepted or not.
        refused: the number of rejected receivers.
    """

    def __init__(
        self, login: tuple[bytes, bytes] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.mails: list[Mail] = []
        self.answers: deque[str] = deque()
        self.unknown: set[str] = set()
        self.greylisted: set[str] = set()
        self.login = login
        self.tries = 0
        self.refused = 0
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()

    async def start(self, port: int = 0, *, implicit_tls: bool = False) -> None:
        """Listen on 127.0.0.1, for port 0 on a free port, with implicit TLS or STARTTLS."""
        loop = asyncio.get_running_loop()
        at_once = self._tls if implicit_tls else None
        later = None if implicit_tls else self._tls
        self._server = await loop.create_server(
            lambda: self._protocol(later), "127.0.0.1", port, ssl=at_once
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def until(self, *, tries: int) -> None:
        """Wait until a number of mails were offered."""
        async with asyncio.timeout(_WITHIN_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.tries >= tries)

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Reject unknown and greylisted receivers."""
        self.refused += address in self.unknown | self.greylisted
        if address in self.unknown:
            return "550 5.1.1 no such mailbox"
        if address in self.greylisted:
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Accept a mail, or respond as the test has set."""
        answer = self.answers.popleft() if self.answers else _TAKEN
        if answer.startswith("2"):
            content = envelope.content
            assert isinstance(content, bytes)
            message = message_from_bytes(content, policy=policy.default)
            self.mails.append(Mail(tuple(envelope.rcpt_tos), message))
        async with self._changed:
            self.tries += 1
            self._changed.notify_all()
        return answer

    def _protocol(self, tls: ssl.SSLContext | None) -> SMTP:
        return SMTP(
            self,
            hostname="sink.example.test",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=self.login is not None,
            auth_require_tls=False,
            authenticator=self._authenticate,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, kind: str, login: object
    ) -> AuthResult:
        expected = LoginPassword(*self.login or (b"", b""))
        return AuthResult(success=login == expected, handled=False)
