"""What the browser is shown: topics, one topic with its newest records, and a form."""

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

_MOST, _UTMOST = 100, 10_000
_NUMBER = re.compile("[0-9]{1,5}")


class Pages:
    """The pages over a cluster. Each look is a connection of its own: it sees what is now.

    Args:
        cluster: whose topics are shown.
    """

    def __init__(self, cluster: KafkaSettings) -> None:
        self._cluster = cluster
        self._templates = environment(Path(__file__).parent / "templates")

    def routes(self) -> list[web.RouteDef]:
        """Say which page is where."""
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
        """Show the newest records of a topic, and the form where it takes requests."""
        topic, said = topic_of(request.match_info["name"]), request.query
        find, most, examples = said.get("find", ""), _most(said), example_bodies(topic)
        records = await answered(self._cluster, partial(_newest, topic, most))
        return self._page(
            "topic.html",
            topic=topic,
            records=[record for record in reversed(records) if record.matches(find)],
            read=len(records),
            find=find,
            most=most,
            bodies=examples,
            body=examples.get(said.get("body", ""), ""),
            correlation=f"{CORRELATION_ID}: ui-{secrets.token_hex(4)}",
            sent=said,
            dead=DEAD_LETTERS[topic].name if examples else "",
        )

    async def produce(self, request: web.Request) -> web.Response:
        """Send what is in the form, and say where it lies and where its reply will be."""
        topic, form = _of_requests(request), await read(request)
        sent = await answered(self._cluster, partial(_send, topic, form))
        headers = dict(form.headers)
        told = {
            "sent": f"{sent.partition}@{sent.offset}",
            "replies": headers.get(REPLY_TOPIC, DEFAULT_REPLIES[topic].name),
            "correlation": headers.get(CORRELATION_ID, ""),
        }
        raise web.HTTPSeeOther(request.rel_url.with_query(told))

    def _page(self, template: str, **told: object) -> web.Response:
        text = self._templates.get_template(template).render(**told)
        return web.Response(text=text, content_type="text/html")


def _of_requests(request: web.Request) -> Topic:
    topic = topic_of(request.match_info["name"])
    # A record by hand in a changelog or among replies would be a lie to whoever reads it.
    if topic not in DEFAULT_REPLIES:
        raise web.HTTPForbidden(text=f"{topic.name} takes no requests")
    return topic


async def _send(topic: Topic, form: Form, cluster: KafkaSettings) -> RecordMetadata:
    options = cluster.client_options()
    # What a silent broker has not taken by then is dropped, and not sent later.
    options["request_timeout_ms"] = round(LIMIT_SECONDS * 1000)
    async with AIOKafkaProducer(**options) as producer:
        return await producer.send_and_wait(
            topic.name,
            form.value.encode(),
            key=form.key.encode() if form.key else None,
            headers=[(name, value.encode()) for name, value in form.headers],
        )


async def _overview(cluster: KafkaSettings) -> list[TopicView]:
    async with TopicReader(cluster) as logs:
        topics = [topic_of(name) for name in await logs.names()]
        partitions = await logs.partitions(topics)
        spans = await logs.offset_ranges(partitions)
    offsets = dict.fromkeys(partitions, 0)
    names = {topic.name: topic for topic in partitions}
    for tp, span in spans.items():
        offsets[names[tp.topic]] += span.end - span.begin
    return [TopicView(topic, n, offsets[topic]) for topic, n in partitions.items()]


async def _newest(topic: Topic, most: int, cluster: KafkaSettings) -> list[RecordView]:
    async with TopicReader(cluster) as logs:
        return [RecordView.of(one) for one in await logs.tail([topic], most)]


def _most(query: Mapping[str, str]) -> int:
    text = query.get("most", str(_MOST))
    if not (_NUMBER.fullmatch(text) and 0 < int(text) <= _UTMOST):
        raise web.HTTPBadRequest(text=f"so many records are from 1 to {_UTMOST}")
    return int(text)
