"""The pages of a real broker, and the records that they send to it."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaProducer, ConsumerRecord

from topics.catalog import (
    CART_REQUESTS,
    CARTS_CHANGELOG,
    DEFAULT_REPLIES,
    STOCK_REQUESTS,
    TOPICS,
)
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.records import example_bodies
from topics.topic import Topic
from topics.ui import application

FORM = "application/x-www-form-urlencoded"
CALLS = [(topic, type_) for topic in DEFAULT_REPLIES for type_ in example_bodies(topic)]


@pytest.fixture
async def browser(cluster: KafkaSettings) -> AsyncIterator[TestClient]:
    """A client of the pages."""
    async with TestClient(TestServer(application(cluster), host="127.0.0.1")) as client:
        yield client


async def read(browser: TestClient, path: str) -> str:
    """Open a page; return its HTML."""
    async with browser.get(path) as response:
        assert response.status == 200
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Server"] == "shop"
        return await response.text()


async def rows(browser: TestClient, path: str) -> list[list[str]]:
    """Open a page; return the texts in the cells of its table."""
    lines = (await read(browser, path)).split("<tr>")[2:]
    cells = [re.findall(r"<td.*?>(.*?)</td>", line, re.DOTALL) for line in lines]
    return [
        [unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells
    ]


async def put(cluster: KafkaSettings, topic: Topic, value: bytes | None, **more) -> None:
    async with AIOKafkaProducer(bootstrap_servers=cluster.kafka) as producer:
        await producer.send_and_wait(topic.name, value, **more)


async def newest(cluster: KafkaSettings, topic: Topic) -> ConsumerRecord:
    async with TopicReader(cluster) as logs:
        [record] = await logs.tail([topic], 1)
    return record


async def test_every_topic_is_listed_with_its_partitions_and_its_purpose(
    browser: TestClient,
):
    shown = {
        name: (partitions, doc) for name, partitions, _, doc in await rows(browser, "/")
    }
    for topic in TOPICS:
        assert shown[topic.name] == (str(topic.partitions or 2), topic.doc)
    assert not any(name.startswith("__") for name in shown)


async def test_keys_headers_and_values_are_shown_as_text_newest_first(
    browser: TestClient, cluster: KafkaSettings
):
    row = {"lines": {str(sku): sku for sku in range(30)}, "note": "Теория & <script>"}
    value = json.dumps(row, ensure_ascii=False).encode()
    await put(cluster, CARTS_CHANGELOG, value, key=b"17", headers=[("version", b"1")])
    await put(cluster, CARTS_CHANGELOG, None, key=b"17", headers=[("n", (1).to_bytes(4))])
    deleted, row_shown = (await rows(browser, f"/topics/{CARTS_CHANGELOG.name}"))[:2]
    assert deleted[2:] == ["17", "n: 0x00000001", "null: deleted"]
    assert row_shown[2:4] == ["17", "version: 1"]
    assert row_shown[4].endswith(json.dumps(row, ensure_ascii=False, indent=2))
    assert "<script>" not in await read(browser, f"/topics/{CARTS_CHANGELOG.name}")


async def test_half_a_surrogate_pair_is_shown_as_stored(
    browser: TestClient, cluster: KafkaSettings
):
    value = json.dumps({"half": "\ud800", "rest": "x" * 200})
    await put(cluster, CARTS_CHANGELOG, value.encode(), key=b"17")
    newest_row, *_ = await rows(browser, f"/topics/{CARTS_CHANGELOG.name}?most=1")
    assert newest_row[4].endswith(value)


async def test_a_search_covers_keys_headers_and_values(
    browser: TestClient, cluster: KafkaSettings
):
    for key, name in ((b"needle", "n"), (b"k", "needle"), (b"k", "n")):
        await put(cluster, CARTS_CHANGELOG, b"v", key=key, headers=[(name, b"1")])
    path = f"/topics/{CARTS_CHANGELOG.name}"
    assert len(await rows(browser, f"{path}?find=needle&most=3")) == 2
    assert len(await rows(browser, f"{path}?most=1")) == 1
    assert '<input name="most" value="1"' in await read(browser, f"{path}?most=1")


@pytest.mark.parametrize(("topic", "type_"), CALLS)
async def test_each_request_can_be_sent_by_hand(
    browser: TestClient, cluster: KafkaSettings, topic: Topic, type_: str
):
    path = f"/topics/{topic.name}"
    page = await read(browser, f"{path}?body={type_}")
    [value] = map(unescape, re.findall(r"<textarea name=\"value\".*?>(.*?)</text", page))
    [headers] = re.findall(r"<textarea name=\"headers\".*?>(.*?)</text", page)
    form = {"value": value, "headers": f"{headers}\r\n\r\na: b:c", "key": ""}
    async with browser.post(path, data=form) as response:
        assert response.status == 200
        shown = await response.text()
    record = await newest(cluster, topic)
    assert record.key is None
    assert topic.decode(record.value)
    assert json.loads(record.value)["type"] == type_
    assert dict(record.headers)["a"] == b"b:c"
    correlation = dict(record.headers)["kafka_correlationId"].decode()
    reply = f"/topics/{DEFAULT_REPLIES[topic].name}?find={correlation}"
    assert reply in shown
    assert f"<code>{record.partition}@{record.offset}</code>" in shown


async def test_a_key_and_a_reply_topic_may_be_given(
    browser: TestClient, cluster: KafkaSettings
):
    form = {"value": "no JSON", "headers": "kafka_replyTopic: my.replies", "key": "17"}
    async with browser.post(f"/topics/{CART_REQUESTS.name}", data=form) as response:
        assert 'href="/topics/my.replies?find="' in await response.text()
    record = await newest(cluster, CART_REQUESTS)
    assert (record.key, record.value) == (b"17", b"no JSON")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/topics/nowhere", 404, "there are no topics nowhere"),
        ("/topics/cart.dlq?most=0", 400, "from 1 to 10000"),
        ("/topics/cart.dlq?most=x", 400, "from 1 to 10000"),
    ],
)
async def test_an_unknown_topic_and_an_invalid_limit_are_errors_in_text(
    browser: TestClient, path: str, status: int, text: str
):
    async with browser.get(path) as response:
        assert response.status == status
        assert text in await response.text()
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("topic", [t for t in TOPICS if t not in DEFAULT_REPLIES])
async def test_nothing_is_sent_to_topics_that_take_no_requests(
    browser: TestClient, topic: Topic
):
    async with browser.post(f"/topics/{topic.name}", data={"value": "{}"}) as response:
        assert response.status == 403
    assert 'method="post"' not in await read(browser, f"/topics/{topic.name}")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "value is missing"),
        ("key=17", "value is missing"),
        ("value=&key=17", "value is empty"),
        ("value={}&value={}", "value is given twice"),
        ("value={}&key=1&key=2", "key is given twice"),
        ("value={}&partition=one", "unknown field 'partition'; the form has value, key, h"),
        ("value", "the form can't be read: bad query field"),
        ("value=%FF", "the form can't be read: 'utf-8' codec can't decode"),
        ("value=Теория", "the form can't be read: 'ascii' codec"),
        ("value={}&headers=what", "a header must be name: value, not 'what'"),
        ("value={}&headers=%3A+what", "a header must be name: value, not ': what'"),
    ],
)
async def test_an_invalid_form_is_refused_and_nothing_is_sent(
    browser: TestClient, untouched_shop: None, body: str, text: str
):
    path, headers = f"/topics/{STOCK_REQUESTS.name}", {"Content-Type": FORM}
    async with browser.post(path, data=body.encode(), headers=headers) as response:
        assert response.status == 400
        assert (await response.text()).startswith(text)


@pytest.mark.parametrize(
    ("type_", "body", "status"),
    [
        ("application/json", b'{"value": "{}"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("text/plain", b"value={}", 415),
        (FORM, b"value=" + b"x" * 2**20, 413),
    ],
)
async def test_another_media_type_and_a_large_body_are_refused_and_nothing_is_sent(
    browser: TestClient, untouched_shop: None, type_: str, body: bytes, status: int
):
    path, headers = f"/topics/{STOCK_REQUESTS.name}", {"Content-Type": type_}
    async with browser.post(path, data=body, headers=headers) as response:
        assert response.status == status


async def test_a_record_above_kafkas_limit_is_refused(
    browser: TestClient, untouched_shop: None
):
    form = {"value": "x" * (2**20 - 20)}
    async with browser.post(f"/topics/{STOCK_REQUESTS.name}", data=form) as response:
        assert response.status == 400
        assert "too large" in await response.text()


async def test_headers_are_sent_as_typed(browser: TestClient, cluster: KafkaSettings):
    form = {"value": "{}", "headers": "a: 1\u2028b: 2\r\na: 3"}
    async with browser.post(f"/topics/{STOCK_REQUESTS.name}", data=form) as response:
        assert response.status == 200
    record = await newest(cluster, STOCK_REQUESTS)
    assert record.headers == (("a", "1\u2028b: 2".encode()), ("a", b"3"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "elsewhere.example"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1:99999"},
    ],
)
async def test_pages_of_other_origins_can_send_nothing(browser: TestClient, headers: dict):
    path = f"/topics/{STOCK_REQUESTS.name}"
    async with browser.post(path, data={"value": "{}"}, headers=headers) as response:
        assert response.status == 403


async def test_a_page_of_the_same_origin_can_send(browser: TestClient):
    origin = str(browser.make_url("/").origin())
    form, headers = {"value": "{}"}, {"Origin": origin}
    path = f"/topics/{STOCK_REQUESTS.name}"
    async with browser.post(path, data=form, headers=headers) as response:
        assert response.status == 200
