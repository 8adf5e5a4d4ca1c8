"""Notices by mail, in the log, and over several ways at once."""

import asyncio
import logging
import shutil
import ssl
import subprocess
from email.message import EmailMessage

import pytest

from agents.notifications.delivery import Delivery
from agents.notifications.hypertext import hypertext
from agents.notifications.settings import NotificationSettings
from agents.notifications.transports import Permanent, Transient, configured
from schemas.order import Status
from tests.component.notices import BIG, SOON, delivery, news, over_smtp
from tests.standins.mail_sink import MailSink


def said(mail: EmailMessage, how: str) -> str:
    """Return a mail's text, as it was before it travelled."""
    part = mail.get_body((how,))
    return part.get_content().replace("\r\n", "\n")


async def test_a_mail_arrives_at_its_user_with_the_words_of_the_notice(mails):
    await over_smtp(mails).deliver(news())
    [(receivers, mail)] = mails.mails
    assert receivers == (f"user-{BIG}@example.test",)
    assert mail["Subject"] == "Order 8193 awaits payment"
    assert mail["Message-ID"] == "<order-8193.awaiting-payment@example.test>"
    assert mail.get_content_type() == "multipart/alternative"
    assert said(mail, "plain") == news().text
    assert said(mail, "html") == hypertext(news())


async def test_the_log_says_what_happened(caplog):
    with caplog.at_level(logging.INFO):
        await delivery().deliver(news(Status.PAID))
    assert f'event="8193:paid" order=8193 user={BIG} status="paid"' in caplog.text


async def test_a_server_that_says_not_now_is_asked_again(mails):
    mails.answers.extend(["451 4.3.0 later", "421 4.3.2 closing"])
    await delivery(smtp_url=f"smtp://127.0.0.1:{mails.port}").deliver(news())
    assert (mails.tries, len(mails.mails)) == (3, 1)


async def test_a_server_that_says_no_is_not_asked_again(mails):
    mails.answers.append("550-5.7.1 not\r\n550 here")
    with pytest.raises(Permanent, match=r"^smtp: 550 5\.7\.1 not here$"):
        await delivery(smtp_url=f"smtp://127.0.0.1:{mails.port}").deliver(news())
    assert mails.tries == 1


async def test_an_unknown_receiver_is_permanent_and_the_next_is_served(mails):
    mails.unknown.add("user-9@example.test")
    with pytest.raises(Permanent, match="no such mailbox"):
        await over_smtp(mails, notify_to="user-9@example.test").deliver(news())
    await over_smtp(mails).deliver(news())
    assert len(mails.mails) == 1


async def test_a_mail_server_that_is_down_is_awaited(mails):
    await mails.stop()
    down = over_smtp(mails)
    with pytest.raises(Transient, match="no session: SMTPConnectError"):
        await down.deliver(news())
    sending = asyncio.create_task(Delivery([down], pauses=SOON).deliver(news()))
    await mails.start(mails.port)
    await sending
    assert len(mails.mails) == 1


async def test_a_mail_server_with_a_login_wants_the_right_one():
    sink = MailSink(login=("shop", "p@ss/word"))
    await sink.start()
    await over_smtp(sink, "shop:p%40ss%2Fword@").deliver(news())
    # A wrong password is the operator's mistake: no notice is given up for it.
    with pytest.raises(Transient, match="no session: 535") as refused:
        await over_smtp(sink, "shop:wr0ng@").deliver(news())
    assert "wr0ng" not in str(refused.value)
    assert len(sink.mails) == 1
    await sink.stop()


async def test_no_mail_goes_in_the_clear_where_encryption_is_insisted_on(mails):
    settings = NotificationSettings(
        smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=always"
    )
    with pytest.raises(Transient, match="STARTTLS"):
        await configured(settings)[1].deliver(news())
    assert mails.tries == 0


@pytest.fixture
def tls(tmp_path, monkeypatch) -> ssl.SSLContext:
    """Make a server's certificate that this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=sink"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*words.split(), *name, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a key with")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_mails_go_over_tls(tls, scheme):
    sink = MailSink(tls=tls)
    await sink.start(implicit_tls=scheme == "smtps")
    await over_smtp(sink, how=scheme).deliver(news())
    assert len(sink.mails) == 1
    await sink.stop()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a key with")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_server_that_nobody_vouches_for_gets_no_mail(tls, scheme, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    sink = MailSink(tls=tls)
    await sink.start(implicit_tls=scheme == "smtps")
    with pytest.raises(Transient, match="no session"):
        await over_smtp(sink, how=scheme).deliver(news())
    assert sink.tries == 0
    await sink.stop()


async def test_what_one_has_taken_is_not_repeated_because_another_failed(mails, hook):
    hook.answers.extend([503, 503, 503])
    url = f"smtp://127.0.0.1:{mails.port}"
    await delivery(smtp_url=url, webhook_url=hook.url).deliver(news())
    assert (mails.tries, len(hook.posted)) == (1, 4)


async def test_a_refusal_is_told_when_all_others_had_their_chance(mails, hook):
    hook.answers.append(404)
    mails.answers.extend(["451 later", "451 later"])
    url = f"smtp://127.0.0.1:{mails.port}"
    with pytest.raises(Permanent, match=r"^webhook: HTTP 404$"):
        await delivery(smtp_url=url, webhook_url=hook.url).deliver(news())
    assert (len(mails.mails), len(hook.posted)) == (1, 1)


async def test_all_refusals_are_told_together(mails, hook):
    hook.answers.append(404)
    mails.answers.append("554 no")
    url = f"smtp://127.0.0.1:{mails.port}"
    with pytest.raises(Permanent, match=r"^smtp: 554 no; webhook: HTTP 404$"):
        await delivery(smtp_url=url, webhook_url=hook.url).deliver(news())


async def test_a_delivery_that_is_given_up_stops_trying(mails):
    mails.answers.extend(["451 later"] * 100)
    url = f"smtp://127.0.0.1:{mails.port}"
    sending = asyncio.create_task(delivery(smtp_url=url).deliver(news()))
    await mails.until(tries=3)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert mails.mails == []
