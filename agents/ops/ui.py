"""Show Kafka in a browser on this machine: the cluster of the shop.

    python -m agents ui [--port PORT]

The pages show topics, changelogs, and their newest records with keys, headers and values;
a form sends a request. The server commits no offsets and joins no group. Ctrl-C ends it.

Exit code: 0 ended by Ctrl-C; 1 no Kafka, or the port is taken; 2 wrong usage.
"""

import logging

import click
from aiohttp import web

from topics.broker.config import is_free
from topics.cli import OK, CommandError, answer, echo, on_cluster, paragraphs
from topics.kafka.reader import TopicReader
from topics.kafka.settings import KafkaSettings
from topics.target import Target
from topics.ui.app import application

_PORT = 8088
_LAST_PORT = 65535


@click.command(help=paragraphs(__doc__))
@click.option(
    "--port",
    type=click.IntRange(1, _LAST_PORT),
    default=_PORT,
    show_default=True,
    help="Port of 127.0.0.1.",
)
@on_cluster("ui")
def ui(target: Target, *, port: int) -> int:
    """Serve the pages until Ctrl-C."""
    cluster = target.cluster
    if not is_free(port):
        raise CommandError(
            f"port {port} is taken by another program;"
            " --port, or KAFKA_UI_PORT with make, chooses another one"
        )
    answer(target, _connect)
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    ready = f"Kafka at {cluster.kafka}: http://127.0.0.1:{port} (Ctrl-C ends it)"
    web.run_app(
        application(cluster),
        host="127.0.0.1",
        port=port,
        print=lambda _: echo(ready),  # called when the port is open
        access_log=None,
    )
    return OK


async def _connect(cluster: KafkaSettings) -> None:
    """Connect once, so that an error ends the command before it serves."""
    async with TopicReader(cluster):
        pass
