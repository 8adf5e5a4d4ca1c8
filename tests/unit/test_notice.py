from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from pydantic import ValidationError

from agents.notifications.notice import notice
from agents.notifications.settings import NotificationSettings
from agents.notifications.transports import Mail, configured
from schemas.contract import Item
from schemas.order import OrderStatusChanged, Status

AT = datetime(2026, 11, 23, 16, 31, 5, tzinfo=UTC)


def event(status: Status = Status.PAID, **changes) -> OrderStatusChanged:
    fields = {
        "order_id": 8193,
        "user": 1,
        "status": status,
        "items": (Item(sku=1076963, count=2), Item(sku=1148162, count=1)),
        "at": AT,
    }
    return OrderStatusChanged(**(fields | changes))


def mail(of: OrderStatusChanged, **settings):
    return Mail("smtp://x", NotificationSettings(**settings)).compose(notice(of))


@pytest.mark.parametrize("status", Status)
def test_every_status_has_words_in_one_line_of_ascii(status):
    told = notice(event(status))
    assert told.event_id == f"8193:{status}"
    assert told.subject.startswith("Order 8193 ")
    assert told.subject.isascii()
    assert told.subject.isprintable()
    assert max(map(len, told.text.splitlines())) < 80


def test_no_two_statuses_have_the_same_words():
    assert len({notice(event(status)).subject for status in Status}) == len(Status)


def test_a_notice_names_the_goods_and_the_time():
    text = notice(event()).text
    assert "sku 1076963, 2 pcs\n" in text
    assert "sku 1148162, 1 pcs\n" in text
    assert "2026-11-23 16:31:05 UTC" in text


def test_the_time_is_told_in_utc_wherever_it_was_taken():
    moscow = AT.astimezone(timezone(timedelta(hours=3)))
    assert notice(event(at=moscow)).text == notice(event()).text


def test_a_notice_is_the_same_however_often_it_is_made():
    assert notice(event()) == notice(event())
    assert mail(event()).as_bytes() == mail(event()).as_bytes()


def test_a_mail_goes_to_the_user_of_the_order():
    sent = mail(event(user=-(2**63)), notify_to="shopper+{user}@mail.test")
    assert sent["To"] == "shopper+-9223372036854775808@mail.test"


def test_a_mails_id_follows_from_the_event():
    sent = mail(event(Status.AWAITING_PAYMENT), notify_from="Shop <us@shop.test>")
    assert sent["From"] == "Shop <us@shop.test>"
    assert sent["Message-ID"] == "<order-8193.awaiting-payment@shop.test>"
    assert parsedate_to_datetime(sent["Date"]) == AT


@pytest.mark.parametrize("name", ["notify_from", "notify_to"])
@pytest.mark.parametrize(
    "address",
    [
        "a@b.test\r\nBcc: c@d.test",
        "a@b.test\nX: y",
        "nobody",
        "@b.test",
        "a@",
        "é@b.test",
    ],
)
def test_an_address_that_is_not_one_is_refused_at_the_start(name, address):
    with pytest.raises(ValidationError):
        NotificationSettings(**{name: address})


@pytest.mark.parametrize(
    "url",
    [
        "mail.test",
        "http://user:s3cret@mail.test",
        "smtp://user:s3cret@",
        "smtp://user:s3cret@mail.test:port",
        "smtp://user:s3cret@mail.test?starttls=perhaps",
    ],
)
def test_a_mail_server_that_is_not_one_is_refused_without_its_password(url):
    with pytest.raises(ValidationError) as refused:
        NotificationSettings(smtp_url=url)
    assert "s3cret" not in str(refused.value)


def test_the_log_is_always_told_and_the_others_when_set(monkeypatch):
    monkeypatch.setenv("SMTP_URL", "")
    assert [way.name for way in configured(NotificationSettings())] == ["log"]
    monkeypatch.setenv("SMTP_URL", "smtps://user:p%40ss@mail.test:2465?starttls=never")
    monkeypatch.setenv("WEBHOOK_URL", "https://chat.test/bot-s3cret/sendMessage")
    settings = NotificationSettings()
    assert [way.name for way in configured(settings)] == ["log", "smtp", "webhook"]
    assert "s3cret" not in repr(settings)
