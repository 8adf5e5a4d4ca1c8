"""The text of a notification, and the mail that has it."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import pytest

from agents.notifications.notification import WORDS, render
from agents.notifications.transports import SmtpTransport
from agents.settings import NotificationSettings
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
    return SmtpTransport("smtp://x", NotificationSettings(**settings)).compose(of)


class Page(HTMLParser):
    """The visible texts of a page, in order, and the tags that are left open."""

    void = ("meta",)

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.seen.extend([data.strip()] if data.strip() else [])


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_subject_in_one_line_of_ascii(status):
    notification = render(event(status))
    assert notification.subject.startswith("Order 8193 ")
    assert notification.subject.isascii()
    assert notification.subject.isprintable()
    assert notification.text.isascii()
    assert max(map(len, notification.text.splitlines())) < 80


def test_no_two_statuses_have_the_same_subject():
    assert len({render(event(status)).subject for status in Status}) == len(Status)


def test_a_notification_names_the_goods_and_the_time():
    text = render(event()).text
    assert "sku 1076963, 2 units\n" in text
    assert "sku 1148162, 1 unit\n" in text
    assert "3 units in total" in text
    assert "2026-11-23 16:31:05 UTC" in text


@pytest.mark.parametrize("status", Status)
def test_a_page_has_the_content_of_the_text(status):
    notification = render(event(status))
    page = Page(notification.html)
    assert page.open == []
    meaning = " ".join(notification.text.split("\n\n")[1].split())
    assert [" ".join(seen.split()) for seen in page.seen] == [
        *[notification.subject, notification.subject, meaning],
        "units",
        *["sku 1076963", "2", "sku 1148162", "1"],
        "3 units in total",
        "As of 2026-11-23 16:31:05 UTC",
    ]


def test_no_text_is_markup(monkeypatch: pytest.MonkeyPatch):
    rude = "<script>&amp;</script> \"quoted\" 'too' </p>"
    monkeypatch.setitem(WORDS, event().status, (rude, rude))
    html = render(event()).html
    assert Page(html).seen[:3] == [f"Order 8193 {rude}"] * 2 + [rude]
    assert "<script" not in html


def test_the_time_is_in_utc_wherever_it_was_taken():
    moscow = AT.astimezone(timezone(timedelta(hours=3)))
    assert render(event(at=moscow)).text == render(event()).text
    assert mail(event(at=moscow)).as_bytes() == mail(event()).as_bytes()


def test_a_notification_is_the_same_however_often_it_is_made():
    assert render(event()) == render(event())
    assert mail(event()).as_bytes() == mail(event()).as_bytes()


@pytest.mark.parametrize("items", [1, 1000])
def test_a_mail_has_the_notification_as_text_and_as_html(items):
    goods = tuple(Item(sku=2**32 - 1 - n, count=65535) for n in range(items))
    of = event(items=goods, order_id=-(2**63))
    read = message_from_bytes(mail(of).as_bytes(), policy=policy.default)
    assert read.get_content_type() == "multipart/alternative"
    plain, page = read.iter_parts()  # the one that is shown where it can be comes last
    assert (plain.get_content_type(), page.get_content_type()) == (
        "text/plain",
        "text/html",
    )
    assert plain.get_content() == render(of).text
    assert page.get_content() == render(of).html
    assert not [part for part in read.walk() if part.defects]
    assert max(map(len, mail(of).as_bytes().splitlines())) < 80


def test_a_mail_goes_to_the_user_of_the_order():
    sent = mail(event(user=-(2**63)), notify_to="shopper+{user}@mail.test")
    assert sent["To"] == "shopper+-9223372036854775808@mail.test"


def test_a_mails_id_follows_from_the_event():
    sent = mail(event(Status.AWAITING_PAYMENT), notify_from="Shop <us@shop.test>")
    assert sent["From"] == "Shop <us@shop.test>"
    assert sent["Message-ID"] == "<order-8193.awaiting-payment@shop.test>"
    assert parsedate_to_datetime(sent["Date"]) == AT
    assert sent["Date"] == "Mon, 23 Nov 2026 16:31:05 +0000"
