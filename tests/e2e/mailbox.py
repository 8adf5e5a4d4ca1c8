"""A real mail server that receives the shop's notifications during a test."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.e2e.shop import Shop
from tests.e2e.waiting import until
from tests.standins.mail_sink import Mail, MailSink

_MESSAGE_ID = re.compile(r"<order-(\d+)\.([a-z-]+)@example\.test>")


class Notice(NamedTuple):
    """A mail about a status of an order."""

    order_id: int
    status: str
    receivers: tuple[str, ...]
    subject: str
    text: str


class Mailbox:
    """The received mails, by order."""

    def __init__(self, sink: MailSink) -> None:
        self.sink = sink
        self._read = 0
        self._notices: defaultdict[int, list[Notice]] = defaultdict(list)

    async def about(self, order_id: int, number: int) -> list[Notice]:
        """Wait for a number of different mails about an order; return all, in order."""

        def look() -> list[Notice]:
            for mail in self.sink.mails[self._read :]:
                notice = _notice(mail)
                self._notices[notice.order_id].append(notice)
                self._read += 1
            found = self._notices[order_id]
            return found if len({one.status for one in found}) >= number else []

        return await until(look, f"{number} mails about order {order_id}")


@asynccontextmanager
async def mailbox(shop: Shop) -> AsyncIterator[Mailbox]:
    """Send the shop's notifications to a mail server of the tests within this context."""
    sink = MailSink()
    await sink.start()
    notifications = shop["notifications-1"]
    await notifications.restart(SMTP_URL=f"smtp://127.0.0.1:{sink.port}")
    yield Mailbox(sink)
    await notifications.restart()
    await sink.stop()


def _notice(mail: Mail) -> Notice:
    message = mail.message
    found = _MESSAGE_ID.fullmatch(message["Message-ID"])
    assert found, message["Message-ID"]
    text = message.get_body(("plain",)).get_content()
    return Notice(int(found[1]), found[2], mail.receivers, message["Subject"], text)
