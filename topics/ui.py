"""Show Kafka in a browser on this machine.

    python -m agents ui [--port PORT]

The pages show topics, changelogs, and their newest records with keys, headers and values;
a form sends a request. The server commits no offsets and joins no group. Ctrl-C ends it.

Exit code: 0 ended by Ctrl-C; 1 no Kafka, or the port is taken; 2 wrong usage.
"""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

import click
from aiohttp import web
from aiohttp.hdrs import SERVER
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord, RecordMetadata
from jinja2 import Environment, PackageLoader

from topics import cli
from topics.broker.process import is_free
from topics.catalog import DEAD_LETTERS, DEFAULT_REPLIES
from topics.kafka.connection import KafkaAuthenticationError
from topics.kafka.headers import CORRELATION_ID, REPLY_TOPIC
from topics.kafka.liveness import LIMIT_SECONDS, NotRespondingError, run_supervised
from topics.kafka.reader import ReadError, TopicReader
from topics.kafka.settings import KafkaSettings
from topics.records import FILTERS, Form, contains, example_bodies, read_form, topic_of
from topics.target import Target
from topics.topic import Topic

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CLUSTER = web.AppKey("cluster", KafkaSettings)
_TEMPLATES = Environment(loader=PackageLoader("topics"), autoescape=True, trim_blocks=True)
_TEMPLATES.filters |= FILTERS
_MAX_LIMIT = 10_000
_LOCAL_HOSTS = ("127.0.0.1", "localhost")
_HEADERS = {
    # A record may have any content: the browser runs no script and loads nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    SERVER: "shop",  # else it has the versions of aiohttp and Python
}


@click.command(help=cli.paragraphs(__doc__))
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8088, help="Port of 127.0.0.1."
)
@cli.on_cluster("ui")
def ui(target: Target, *, port: int) -> int:
    """Serve the pages until Ctrl-C."""
    cluster = target.cluster
    if not is_free(port):
        raise cli.CommandError(
            f"port {port} is taken by another program;"
            " --port, or KAFKA_UI_PORT with make, chooses another one"
        )
    cli.read(target, TopicReader.names)  # an error ends the command before it serves
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    ready = f"Kafka at {cluster.kafka}: http://127.0.0.1:{port} (Ctrl-C ends it)"
    web.run_app(
        application(cluster),
        host="127.0.0.1",
        port=port,
        print=lambda _: cli.echo(ready),  # called when the port is open
        access_log=None,
    )
    return cli.OK


def application(cluster: KafkaSettings) -> web.Application:
    """Return the pages of a cluster; each request has a new connection, so it reads all."""
    app = web.Application(middlewares=[_same_origin_only, _errors_as_text])
    app[_CLUSTER] = cluster
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/", _list_topics)
    app.router.add_get("/topics/{name}", _show_topic)
    app.router.add_post("/topics/{name}", _produce)
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@web.middleware
async def _same_origin_only(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Serve browsers on this machine, and requests of our own pages only.

    Another site could send a form to this port, or resolve its own name to this machine.
    """
    try:
        host, here = request.url.host, str(request.url.origin())
    except ValueError:  # an invalid port, for example
        host = here = None
    same_origin = request.headers.get("Origin") in (None, here)
    cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if host in _LOCAL_HOSTS and same_origin and not cross_site:
        return await handler(request)
    raise web.HTTPForbidden(text="only pages of 127.0.0.1 are allowed")


@web.middleware
async def _errors_as_text(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Return a line of text if a topic is missing or Kafka is unavailable."""
    try:
        return await handler(request)
    except ReadError as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except NotRespondingError as error:
        raise web.HTTPGatewayTimeout(text=str(error)) from error
    except KafkaAuthenticationError as error:
        raise web.HTTPBadGateway(text=str(error)) from error
    except MessageSizeTooLargeError as error:
        raise web.HTTPBadRequest(text=f"the record is too large: {error}") from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"Kafka: {str(error) or repr(error)}") from error


async def _list_topics(request: web.Request) -> web.Response:
    cluster = request.app[_CLUSTER]
    topics = await run_supervised(cluster, _overview)
    return _page("topics.html", topics=topics, kafka=cluster.kafka)


async def _overview(cluster: KafkaSettings) -> list[tuple[Topic, int, int]]:
    """Return the topics with the numbers of their partitions and offsets."""
    async with TopicReader(cluster) as reader:
        topics = [topic_of(name) for name in await reader.names()]
        partitions = await reader.partitions(topics)
        ranges = await reader.offset_ranges(partitions)
    offsets = {topic.name: 0 for topic in partitions}
    for tp, offset_range in ranges.items():
        offsets[tp.topic] += offset_range.end - offset_range.begin
    return [(topic, n, offsets[topic.name]) for topic, n in partitions.items()]


async def _show_topic(request: web.Request) -> web.Response:
    topic, query = topic_of(request.match_info["name"]), request.query
    find, examples = query.get("find", ""), example_bodies(topic)
    limit = query.get("most", "100")
    if not re.fullmatch("[0-9]{1,5}", limit) or not 0 < int(limit) <= _MAX_LIMIT:
        text = f"the number of records must be from 1 to {_MAX_LIMIT}"
        raise web.HTTPBadRequest(text=text)
    newest = partial(_newest, topic, int(limit))
    records = await run_supervised(request.app[_CLUSTER], newest)
    return _page(
        "topic.html",
        topic=topic,
        records=[record for record in reversed(records) if contains(record, find)],
        read=len(records),
        find=find,
        limit=limit,
        bodies=examples,
        body=examples.get(query.get("body", ""), ""),
        correlation=f"{CORRELATION_ID}: ui-{secrets.token_hex(4)}",
        sent=query,
        dead=DEAD_LETTERS[topic].name if examples else "",
    )


async def _newest(topic: Topic, limit: int, cluster: KafkaSettings) -> list[ConsumerRecord]:
    async with TopicReader(cluster) as reader:
        return await reader.tail([topic], limit)


async def _produce(request: web.Request) -> web.Response:
    """Send the record of the form; show its offset and its reply topic."""
    topic = topic_of(request.match_info["name"])
    # A record in a changelog or a reply topic would corrupt the data of its consumers.
    if topic not in DEFAULT_REPLIES:
        raise web.HTTPForbidden(text=f"{topic.name} takes no requests")
    form = await read_form(request)
    sent = await run_supervised(request.app[_CLUSTER], partial(_send, topic, form))
    headers = {name: value.decode() for name, value in form.headers}
    query = {
        "sent": f"{sent.partition}@{sent.offset}",
        "replies": headers.get(REPLY_TOPIC, DEFAULT_REPLIES[topic].name),
        "correlation": headers.get(CORRELATION_ID, ""),
    }
    raise web.HTTPSeeOther(request.rel_url.with_query(query))


async def _send(topic: Topic, form: Form, cluster: KafkaSettings) -> RecordMetadata:
    options = cluster.client_options()
    # A record that is not acknowledged by then is dropped, and not sent later.
    options["request_timeout_ms"] = round(LIMIT_SECONDS * 1000)
    async with AIOKafkaProducer(**options) as producer:
        return await producer.send_and_wait(topic.name, **form._asdict())


def _page(template: str, **values: object) -> web.Response:
    text = _TEMPLATES.get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html")
