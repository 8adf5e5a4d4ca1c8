"""Passwords are used and never repeated: not in logs, not in answers, not in notes."""

from secrets import token_hex

from tests.e2e.clients import HttpClient
from tests.e2e.guarded import GuardedShop
from tests.e2e.ids import IdFactory
from tests.e2e.processes import Unit
from tests.e2e.steps import order, receive
from tests.e2e.waiting import until
from tests.standins.mail_sink import MailSink
from topics.topology import SERVICES

SKU = 1076963


async def test_no_secret_is_in_any_log_or_answer(
    guarded: GuardedShop, guarded_http: HttpClient, ids: IdFactory
):
    mail, hook, signing, token = (f"secret-{token_hex(8)}" for _ in range(4))
    sink = MailSink(login=(b"mailer", b"another password"))
    await sink.start()
    await guarded["notifications-1"].restart(
        SMTP_URL=f"smtp://mailer:{mail}@127.0.0.1:{sink.port}?starttls=never",
        WEBHOOK_URL=f"http://mailer:{hook}@127.0.0.1:1/{hook}?key={hook}",
        WEBHOOK_SECRET=signing,
    )
    await guarded["products-1"].restart(PRODUCT_TOKEN=token)
    user = ids.user()
    await receive(guarded_http, SKU, 5)
    await guarded_http.do("addToCart", user=user, sku=SKU, count=1)
    refused = await guarded_http.ask("listCart", {"user": user})
    assert refused.code == "product-service"
    await order(guarded_http, user, {SKU: 1})
    log = guarded["notifications-1"].log
    for transport in ("smtp", "webhook"):
        words = f"event=delivery-failed transport={transport}"
        await until(lambda w=words: w in log.read_text(), words)
    for name in ("notifications-1", "products-1"):
        await guarded[name].restart()
        await until(lambda worker=guarded[name]: _is_up(worker), f"{name} is up")
    await sink.stop()
    everything = refused.text + "".join(
        unit.log.read_text(errors="replace") for unit in guarded.units.values()
    )
    services = {service.name for service in SERVICES}
    assert all(f"User:{name} " in everything for name in services)  # the right logs
    for secret in (mail, hook, signing, token, *guarded.passwords.values()):
        assert secret not in everything


def _is_up(worker: Unit) -> bool:
    """Whether it has come so far since its last start that it can be stopped well."""
    lives = worker.log.read_text().split("event=starting service=")
    return len(lives) > worker.expected and "ready partitions=" in lives[-1]
