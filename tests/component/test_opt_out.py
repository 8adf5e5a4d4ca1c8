"""Who wants no notices gets none, whenever he says so."""

import asyncio
import logging

import pytest

from agents.notifications.delivery import Outcome
from agents.notifications.opt_out import OptOut
from tests.component.notices import BIG, delivery, news
from tests.standins.mail_sink import MailSink
from tests.standins.webhook_sink import WebhookSink


@pytest.fixture
def ways(mails: MailSink, hook: WebhookSink) -> dict[str, str]:
    return {"smtp_url": f"smtp://127.0.0.1:{mails.port}", "webhook_url": hook.url}


async def test_who_is_on_the_list_gets_nothing_and_the_log_says_why(
    mails, hook, ways, caplog
):
    with caplog.at_level(logging.INFO):
        outcome = await delivery((BIG,), **ways).deliver(news())
    assert outcome == Outcome.OPTED_OUT
    assert (mails.tries, hook.posted) == (0, [])
    [said] = [record.getMessage() for record in caplog.records]
    assert f'order=8193 user={BIG} status="awaiting payment" outcome="opted out"' in said


async def test_who_is_not_on_the_list_gets_all(mails, hook, ways):
    assert await delivery((BIG - 1,), **ways).deliver(news()) == Outcome.SENT
    assert (len(mails.mails), len(hook.posted)) == (1, 1)


async def test_who_opts_out_while_a_mail_waits_does_not_get_it(mails, ways, tmp_path):
    listed = tmp_path / "opt-out"
    listed.write_text("# nobody yet\n")
    mails.answers.extend(["451 later"] * 1000)
    sending = asyncio.create_task(delivery(OptOut(listed), **ways).deliver(news()))
    await mails.until(tries=2)
    listed.write_text(f"{BIG}  # asked by phone\n")
    assert await sending == Outcome.OPTED_OUT
    assert mails.mails == []
