"""The pages: the list of topics, and a topic with its newest records and a form."""

import re
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from topics.catalog import DEAD_LETTERS, DEFAULT_REPLIES
from topics.html import environment
from topics.kafka.answering import LIMIT_SECONDS, answered
from topics.kafka.headers import CORRELATION_ID, REPLY_TOPIC
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.topic import Topic
from topics.ui.form import Form, read
from topics.ui.views import RecordView, TopicView, example_bodies, topic_of

_DEFAULT_LIMIT, _MAX_LIMIT = 100, 10_000
_NUMBER = re.compile("[0-9]{1,5}")


class Pages:
    """The pages of a cluster. Each request has a new connection, so that it reads all.

    Args:
        cluster: the settings of the cluster.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        self._cluster = cluster
        self._templates = environment(Path(__file__).parent / "templates")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the pages."""
        return [
            web.get("/", self.topics),
            web.get("/topics/{name}", self.topic),
            web.post("/topics/{name}", self.produce),
        ]

    async def topics(self, _request: web.Request) -> web.Response:
        """List the topics."""
        views = await answered(self._cluster, _overview)
        return self._page("topics.html", views=views, kafka=self._cluster.kafka)

    async def topic(self, request: web.Request) -> web.Response:
        """Show the newest records of a topic, and a form for a topic of requests."""
        topic, query = topic_of(request.match_info["name"]), request.query
        find, limit, examples = query.get("find", ""), _limit(query), example_bodies(topic)
        records = await answered(self._cluster, partial(_newest, topic, limit))
        return self._page(
            "topic.html",
            topic=topic,
            records=[record for record in reversed(records) if record.matches(find)],
            read=len(records),
            find=find,
            most=limit,
            bodies=examples,
            body=examples.get(query.get("body", ""), ""),
            correlation=f"{CORRELATION_ID}: ui-{secrets.token_hex(4)}",
            sent=query,
            dead=DEAD_LETTERS[topic].name if examples else "",
        )

    async def produce(self, request: web.Request) -> web.Response:
        """Send the record of the form; show its offset and its reply topic."""
        topic, form = _of_requests(request), await read(request)
        sent = await answered(self._cluster, partial(_send, topic, form))
        headers = dict(form.headers)
        query = {
            "sent": f"{sent.partition}@{sent.offset}",
            "replies": headers.get(REPLY_TOPIC, DEFAULT_REPLIES[topic].name),
            "correlation": headers.get(CORRELATION_ID, ""),
        }
        raise web.HTTPSeeOther(request.rel_url.with_query(query))

    def _page(self, template: str, **values: object) -> web.Response:
        text = self._templates.get_template(template).render(**values)
        return web.Response(text=text, content_type="text/html")


def _of_requests(request: web.Request) -> Topic:
    topic = topic_of(request.match_info["name"])
    # A record in a changelog or a reply topic would corrupt the data of its consumers.
    if topic not in DEFAULT_REPLIES:
        raise web.HTTPForbidden(text=f"{topic.name} takes no requests")
    return topic


async def _send(topic: Topic, form: Form, cluster: KafkaSettings) -> RecordMetadata:
    options = cluster.client_options()
    # A record that is not acknowledged by then is dropped, and not sent later.
    options["request_timeout_ms"] = round(LIMIT_SECONDS * 1000)
    async with AIOKafkaProducer(**options) as producer:
        return await producer.send_and_wait(
            topic.name,
            form.value.encode(),
            key=form.key.encode() if form.key else None,
            headers=[(name, value.encode()) for name, value in form.headers],
        )


async def _overview(cluster: KafkaSettings) -> list[TopicView]:
    async with TopicReader(cluster) as reader:
        topics = [topic_of(name) for name in await reader.names()]
        partitions = await reader.partitions(topics)
        ranges = await reader.offset_ranges(partitions)
    offsets = dict.fromkeys(partitions, 0)
    names = {topic.name: topic for topic in partitions}
    for tp, offset_range in ranges.items():
        offsets[names[tp.topic]] += offset_range.end - offset_range.begin
    return [TopicView(topic, n, offsets[topic]) for topic, n in partitions.items()]


async def _newest(topic: Topic, limit: int, cluster: KafkaSettings) -> list[RecordView]:
    async with TopicReader(cluster) as reader:
        return [RecordView.of(record) for record in await reader.tail([topic], limit)]


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("most", str(_DEFAULT_LIMIT))
    if not (_NUMBER.fullmatch(text) and 0 < int(text) <= _MAX_LIMIT):
        raise web.HTTPBadRequest(
            text=f"the number of records must be from 1 to {_MAX_LIMIT}"
        )
    return int(text)
