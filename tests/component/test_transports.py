"""Notifications by mail: their content, and the meaning of a server's responses."""

import shutil
import ssl
import subprocess
from email.message import EmailMessage

import pytest

from agents.notifications.notification import render
from agents.notifications.transports import (
    PermanentError,
    TransientError,
    create_transports,
)
from agents.settings import NotificationSettings
from tests.component.notices import BIG, event, over_smtp
from tests.standins.mail_sink import MailSink


def content(mail: EmailMessage, subtype: str) -> str:
    """Return a part of a mail, with the line ends that it had before its transport."""
    part = mail.get_body((subtype,))
    return part.get_content().replace("\r\n", "\n")


async def test_a_mail_arrives_at_its_user_with_the_text_of_the_notification(mails):
    await over_smtp(mails).deliver(event())
    [(receivers, mail)] = mails.mails
    assert receivers == (f"user-{BIG}@example.test",)
    assert mail["Subject"] == "Order 8193 awaits payment"
    assert mail["Message-ID"] == "<order-8193.awaiting-payment@example.test>"
    assert mail.get_content_type() == "multipart/alternative"
    assert content(mail, "plain") == render(event()).text
    assert content(mail, "html") == render(event()).html


@pytest.mark.parametrize(
    ("answer", "is_of_recipient"), [("451 4.3.0 later", True), ("421 closing", False)]
)
async def test_a_transient_reply_is_a_transient_error(mails, answer, is_of_recipient):
    mails.answers.append(answer)
    with pytest.raises(TransientError, match=answer[:3]) as later:
        await over_smtp(mails).deliver(event())
    assert later.value.is_of_recipient == is_of_recipient


async def test_a_recipient_that_is_refused_for_a_time_is_an_error_of_the_recipient(mails):
    mails.greylisted.add(f"user-{BIG}@example.test")
    with pytest.raises(TransientError, match=r"^451 4\.7\.1 greylisted$") as later:
        await over_smtp(mails).deliver(event())
    assert later.value.is_of_recipient


async def test_a_permanent_reply_is_a_permanent_error(mails):
    mails.answers.append("550-5.7.1 not\r\n550 here")
    with pytest.raises(PermanentError, match=r"^550 5\.7\.1 not here$"):
        await over_smtp(mails).deliver(event())
    assert mails.tries == 1


async def test_a_mail_server_that_is_down_is_no_error_of_a_recipient(mails):
    await mails.stop()
    with pytest.raises(TransientError, match="no session: SMTPConnectError") as down:
        await over_smtp(mails).deliver(event())
    assert not down.value.is_of_recipient


async def test_an_unknown_recipient_is_permanent_and_the_next_mail_is_sent(mails):
    mails.unknown.add("user-9@example.test")
    with pytest.raises(PermanentError, match="no such mailbox"):
        await over_smtp(mails, notify_to="user-9@example.test").deliver(event())
    await over_smtp(mails).deliver(event())
    assert len(mails.mails) == 1


async def test_a_wrong_login_is_a_transient_error_without_the_password():
    sink = MailSink(login=(b"shop", b"p@ss/word"))
    await sink.start()
    await over_smtp(sink, "shop:p%40ss%2Fword@").deliver(event())
    # A wrong password is the operator's mistake: no notification is refused for it.
    with pytest.raises(TransientError, match="no session: 535") as refused:
        await over_smtp(sink, "shop:wr0ng@").deliver(event())
    assert "wr0ng" not in str(refused.value)
    assert len(sink.mails) == 1
    await sink.stop()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sh%40op:p%25a%3As%2Fs%20+", (b"sh@op", b"p%a:s/s +")),
        ("shop:$HOME%(x)s'\"&", (b"shop", b"$HOME%(x)s'\"&")),
        ("m%C3%A9l:%D0%BF п", ("mél".encode(), "п п".encode())),
        ("shop:%E9%FF", (b"shop", b"\xe9\xff")),
    ],
)
async def test_a_login_arrives_byte_for_byte(given, meant):
    sink = MailSink(login=meant)
    await sink.start()
    await over_smtp(sink, f"{given}@").deliver(event())
    assert len(sink.mails) == 1
    await sink.stop()


async def test_no_mail_is_sent_in_the_clear_where_encryption_is_required(mails):
    settings = NotificationSettings(
        smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=always"
    )
    with pytest.raises(TransientError, match="STARTTLS"):
        await create_transports(settings)[0].deliver(event())
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
    await over_smtp(sink, how=scheme).deliver(event())
    assert len(sink.mails) == 1
    await sink.stop()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a key with")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_server_with_an_untrusted_certificate_gets_no_mail(
    tls, scheme, monkeypatch
):
    monkeypatch.delenv("SSL_CERT_FILE")
    sink = MailSink(tls=tls)
    await sink.start(implicit_tls=scheme == "smtps")
    with pytest.raises(TransientError, match="no session"):
        await over_smtp(sink, how=scheme).deliver(event())
    assert sink.tries == 0
    await sink.stop()
