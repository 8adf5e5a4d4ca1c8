"""Show Kafka in a browser on this machine: the cluster of the shop.

    python -m agents ui [--port PORT]

The pages show topics, changelogs, and their newest records with keys, headers and values;
a form sends a request. The server commits no offsets and joins no group. Ctrl-C ends it.

Exit code: 0 ended by Ctrl-C; 1 no Kafka, or the port is taken; 2 wrong usage.
"""

import logging

import click
from aiohttp import web

from topics import cli
from topics.broker.process import is_free
from topics.kafka.reader import TopicReader
from topics.target import Target
from topics.ui.app import application


@click.command(help=cli.paragraphs(__doc__))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8088,
    show_default=True,
    help="Port of 127.0.0.1.",
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
