"""A mail server that keeps what it gets, and says no when told to: real SMTP."""

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
    """One mail that was taken, and to whom it goes."""

    receivers: tuple[str, ...]
    message: EmailMessage


class MailSink:
    """The server, and the levers that tests pull.

    Attributes:
        mails: what was taken, in order.
        answers: what the next mails are answered with, e.g. "451 4.3.0 later"; taken
            where none is left.
        unknown: receivers that are refused with a 550.
        greylisted: receivers that are refused with a 451.
        login: the user and the password without which nothing is taken.
        tries: mails that were offered, taken or not.
        refused: how often a receiver was refused.
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
        """Listen on 127.0.0.1; port 0 takes a free one. TLS at once, or by STARTTLS."""
        loop = asyncio.get_running_loop()
        at_once = self._tls if implicit_tls else None
        later = None if implicit_tls else self._tls
        self._server = await loop.create_server(
            lambda: self._protocol(later), "127.0.0.1", port, ssl=at_once
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Take no more mails."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def until(self, *, tries: int) -> None:
        """Wait until so many mails were offered."""
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
        """Refuse those that are unknown, or to come later."""
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
        """Take a mail, or answer what is to be answered."""
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
